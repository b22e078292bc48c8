# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real Nagios Core for tests: unpacked from Debian's packages, started in a folder of its own, in 0.3 s.

The packages are fetched once into a cache outside the checkout. Nothing is installed, and no root is needed.
"""

from __future__ import annotations

import base64
import http.server
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

CACHE = Path(os.environ.get("SELFHEAL_TEST_CACHE", "/var/cache/selfheal-test"))
PACKAGES = ("nagios4-core", "nagios4-cgi", "monitoring-plugins-basic")
ROOT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "selfheal", "s3cret"

COMMANDS = """
define command {
    command_name  ok
    command_line  /bin/true
}
define timeperiod {
    timeperiod_name  always
    alias            always
    monday     00:00-24:00
    tuesday    00:00-24:00
    wednesday  00:00-24:00
    thursday   00:00-24:00
    friday     00:00-24:00
    saturday   00:00-24:00
    sunday     00:00-24:00
}
define contact {
    contact_name                   limited
    host_notifications_enabled     0
    service_notifications_enabled  0
    host_notification_period       always
    service_notification_period    always
    host_notification_commands     ok
    service_notification_commands  ok
}
"""


def host_object(name: str, address: str = "127.0.0.1", **more: str) -> str:
    """The text of one host object that is never checked actively."""
    lines = {
        "host_name": name,
        "address": address,
        "max_check_attempts": "1",
        "check_command": "ok",
        "active_checks_enabled": "0",
        "check_period": "always",
        "contacts": "nobody_at_all",
    }
    lines.update(more)
    return _object("host", lines)


def service_object(host: str, description: str, **more: str) -> str:
    """The text of one service object that takes passive results only."""
    lines = {
        "host_name": host,
        "service_description": description,
        "check_command": "ok",
        "max_check_attempts": "1",
        "active_checks_enabled": "0",
        "check_period": "always",
        "check_interval": "1",
        "retry_interval": "1",
        "contacts": "nobody_at_all",
    }
    lines.update(more)
    return _object("service", lines)


def hostgroup_object(name: str, members: Iterable[str]) -> str:
    """The text of one hostgroup object."""
    return _object("hostgroup", {"hostgroup_name": name, "alias": name, "members": ",".join(members)})


def _object(kind: str, lines: dict[str, str]) -> str:
    body = "".join(f"    {key} {value}\n" for key, value in lines.items())
    return f"define {kind} {{\n{body}}}\n"


def unpacked(cache: Path = CACHE) -> Path:
    """The folder with Nagios' programs; fetched by the first caller, shared by all later ones."""
    root = cache / "nagios-root"
    if root.is_dir():
        return root
    debs = cache / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    missing = [name for name in PACKAGES if not list(debs.glob(f"{name}_*.deb"))]
    if missing:
        subprocess.run(["apt-get", "-q", "download", *missing], cwd=debs, check=True, capture_output=True)
    partial = Path(tempfile.mkdtemp(prefix="nagios-root-", dir=cache))
    for name in PACKAGES:
        subprocess.run(["dpkg", "-x", str(sorted(debs.glob(f"{name}_*.deb"))[-1]), str(partial)], check=True)
    partial.chmod(0o755)
    try:
        partial.rename(root)  # atomic: two test runs at once both end with a whole folder
    except OSError:
        shutil.rmtree(partial)
    return root


def wait_for(condition: Callable[[], Any], seconds: float = 15.0, what: str = "the condition") -> Any:
    """Wait until the condition gives something true, and give that back."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"gave up after {seconds} s waiting for {what}")
        time.sleep(0.05)


def module_answer(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A module as Ansible runs it: arguments on its standard input, one JSON document as its answer."""
    done = subprocess.run(
        [sys.executable, str(ROOT / f"plugins/modules/{name}.py")],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "PYTHONPATH": str(ROOT / ".dev")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


class RealNagios:
    """One running Nagios with its JSON CGIs behind basic auth. Use it as a context manager."""

    def __init__(
        self,
        objects: str,
        users: dict[str, str] | None = None,
        may_see_all: Iterable[str] = (USER,),
        config: str = "",
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.root = unpacked()
        self.folder = Path(tempfile.mkdtemp(prefix="shn-", dir="/tmp"))  # short: query_socket has 107 bytes
        self.users = users if users is not None else {USER: PASSWORD, "limited": "limited"}
        self.truncate: int | None = None
        """Send only so many bytes of each answer, as a proxy that dies in mid-answer does."""
        self.rewrite: Callable[[bytes], bytes] | None = None
        """Change each answer, for answers that the real CGI gives once in thousands."""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._write_config(objects, config, ",".join(may_see_all))
        self._server = _Server(self)
        self._scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What a user gives as the URL of the CGIs."""
        return f"{self._scheme}://localhost:{self._server.server_address[1]}/nagios4/cgi-bin"

    @property
    def pipe(self) -> Path:
        """The external command pipe."""
        return self.folder / "nagios.cmd"

    @property
    def log(self) -> str:
        """Everything that Nagios logged so far."""
        path = self.folder / "nagios.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self) -> RealNagios:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def verify(self) -> str:
        """The output of ``nagios4 -v``."""
        return subprocess.run(
            [str(self.root / "usr/sbin/nagios4"), "-v", str(self.folder / "nagios.cfg")],
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    def start(self) -> None:
        """Start the core and wait until its JSON answers."""
        self._process = subprocess.Popen(
            [str(self.root / "usr/sbin/nagios4"), str(self.folder / "nagios.cfg")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(self._ready, what="Nagios to be ready")
        except TimeoutError as error:
            raise RuntimeError(f"Nagios did not start:\n{self.verify()}\n{self.log}") from error

    def _ready(self) -> bool:
        return self.pipe.exists() and (self.folder / "status.dat").exists()

    def stop(self) -> None:
        """A clean stop: Nagios removes status.dat, and the CGI answers with an empty body."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """A crash: status.dat stays, and the CGI goes on answering from it."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.wait(timeout=10)

    def reload(self) -> None:
        """SIGHUP, as ``systemctl reload`` sends it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def passive(self, host: str, service: str, state: int, text: str) -> None:
        """A passive result as some other program sends it, not sanitised by our own writer."""
        line = f"[{int(time.time())}] PROCESS_SERVICE_CHECK_RESULT;{host};{service};{state};{text}\n"
        with self.pipe.open("wb", buffering=0) as pipe:
            pipe.write(line.encode("utf-8", "surrogateescape"))

    def _write_config(self, objects: str, config: str, see_all: str) -> None:
        folder, uid = self.folder, os.getuid()
        (folder / "objects.cfg").write_text(COMMANDS + _null_contact() + objects, errors="surrogateescape")
        (folder / "results").mkdir()
        (folder / "nagios.cfg").write_text(
            f"log_file={folder}/nagios.log\ncfg_file={folder}/objects.cfg\n"
            f"object_cache_file={folder}/objects.cache\nstatus_file={folder}/status.dat\n"
            f"state_retention_file={folder}/retention.dat\nlock_file={folder}/nagios.pid\n"
            f"temp_file={folder}/nagios.tmp\ntemp_path={folder}\ncheck_result_path={folder}/results\n"
            f"command_file={folder}/nagios.cmd\nquery_socket={folder}/qh\nlog_archive_path={folder}\n"
            f"nagios_user={uid}\nnagios_group={os.getgid()}\ncheck_external_commands=1\n"
            "use_syslog=0\ncheck_for_updates=0\nstatus_update_interval=1\ncheck_result_reaper_frequency=1\n"
            "check_workers=1\nenable_flap_detection=0\nretain_state_information=0\nevent_broker_options=0\n"
            "enable_notifications=0\ninterval_length=1\nillegal_macro_output_chars=`~$&|'\"<>\n" + config
        )
        (folder / "cgi.cfg").write_text(
            f"main_config_file={folder}/nagios.cfg\nphysical_html_path={folder}\nurl_html_path=/nagios4\n"
            f"use_authentication=1\nauthorized_for_all_hosts={see_all}\nauthorized_for_all_services={see_all}\n"
            f"authorized_for_system_information={see_all}\nauthorized_for_configuration_information={see_all}\n"
        )


def _null_contact() -> str:
    return _object(
        "contact",
        {
            "contact_name": "nobody_at_all",
            "host_notifications_enabled": "0",
            "service_notifications_enabled": "0",
            "host_notification_period": "always",
            "service_notification_period": "always",
            "host_notification_commands": "ok",
            "service_notification_commands": "ok",
        },
    )


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, nagios: RealNagios) -> None:
        self.nagios = nagios
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up (a refused certificate) is part of the tests, not news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        nagios = self.server.nagios
        nagios.requests.append((self.path, dict(self.headers)))
        user = self._user()
        if user is None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="Nagios"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        program = nagios.root / "usr/lib/cgi-bin/nagios4" / Path(path).name
        if not program.is_file():
            self.send_error(404)
            return
        answer = subprocess.run(
            [str(program)],
            env={
                "NAGIOS_CGI_CONFIG": str(nagios.folder / "cgi.cfg"),
                "REMOTE_USER": user,
                "REQUEST_METHOD": "GET",
                "QUERY_STRING": query,
                "HTTP_ACCEPT_LANGUAGE": self.headers.get("Accept-Language", ""),
                "PATH": "/usr/bin:/bin",
            },
            capture_output=True,
            check=False,
        ).stdout
        _head, _, body = answer.replace(b"\r\n", b"\n").partition(b"\n\n")
        body = nagios.rewrite(body) if nagios.rewrite else body
        sent = body if nagios.truncate is None else body[: nagios.truncate]
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def _user(self) -> str | None:
        word, _, value = self.headers.get("Authorization", "").partition(" ")
        if word.lower() != "basic":
            return None
        name, _, password = base64.b64decode(value).decode().partition(":")
        return name if self.server.nagios.users.get(name) == password else None

    def log_message(self, *args: Any) -> None:
        """Silence: the tests look at ``RealNagios.requests``."""
