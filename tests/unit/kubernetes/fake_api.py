# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A fake API server over TLS: it answers as the test says, and keeps what it was asked."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import yaml

TOKEN = "s3cret-token"


class FakeApi:
    """``answers`` by method and path (without the query); what is not there is answered 404."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, Any, dict[str, str]]] = []
        self.certificate, self.kubeconfig = folder / "tls.crt", folder / "kubeconfig"
        key = folder / "tls.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key),
             "-out", str(self.certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        self.listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.listener.socket = context.wrap_socket(self.listener.socket, server_side=True)
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()
        self.write_kubeconfig(f"https://127.0.0.1:{self.listener.server_port}")

    def write_kubeconfig(self, server: str, authority: Path | None = None) -> None:
        """Where it is, and the token that proves who asks."""
        cluster = {"server": server, "certificate-authority": str(authority or self.certificate)}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        }  # fmt: skip
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent = self.rfile.read(length)
                fake.asked.append(
                    (self.command, self.path, json.loads(sent) if sent else None, dict(self.headers.items()))
                )
                nothing = (404, {"kind": "Status", "message": "not found"})
                status, body = fake.answers.get((self.command, self.path.partition("?")[0]), nothing)
                content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                if status in (301, 302):
                    self.send_header("Location", "https://127.0.0.1:1/elsewhere")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = _any

            def log_message(self, *_words: Any) -> None:
                pass

        return Handler

    def close(self) -> None:
        """End it."""
        self.listener.shutdown()
        self.listener.server_close()
