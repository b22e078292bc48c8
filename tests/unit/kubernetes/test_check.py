# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The monitoring plugin: what it says of an object, and that nothing but an answer is ever an illness."""

from __future__ import annotations

import http.server
import importlib.machinery
import importlib.util
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from tests.unit.kubernetes.objects import (
    NOW,
    UNSCHEDULABLE,
    at,
    autoscaler,
    condition,
    container,
    deployment,
    ended,
    pod,
)

FILE = Path(__file__).parents[3] / "roles/nagios_server/files/selfheal-check-kubernetes"
OK, WARNING, CRITICAL, UNKNOWN = range(4)


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("selfheal_check_kubernetes", str(FILE))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def said(plugin: ModuleType, check: str, item: Any, pods: Any = (), *more: str) -> tuple[int, str]:
    """State and line of one check of these objects."""
    words = ["--check", check, "--server", "https://x", "--token-file", "x", "--name", "n", *more]
    options = plugin.arguments(words)
    how, warning, critical = plugin.CHECKS[check]
    finding = how(item, list(pods), NOW, options)
    marks = [given or (plugin.Range(own) if own else None)
             for given, own in ((options.warning, warning), (options.critical, critical))]  # fmt: skip
    state, perf = plugin.judge(finding, *marks)
    return state, plugin.line(check, state, finding.text, perf)


STUCK = container("waiting", "ImagePullBackOff", "Back-off pulling image")
LOOPING = container("waiting", "CrashLoopBackOff", "back-off 5m0s", 7, ended(20))
NOT_READY = condition("Ready", "False", "ContainersNotReady", ago=90)
FAILED = condition("Progressing", "False", "ProgressDeadlineExceeded", "ReplicaSet x has timed out progressing.")


@pytest.mark.parametrize(
    ("check", "item", "pods", "more", "state", "words"),
    [
        ("available", deployment(3), [], [], OK, "3 of 3 pods are available | available=3;1:;1: desired=3"),
        ("available", deployment(3, 1), [], ["-w", "3:", "-c", "1:"], WARNING, "available=1;3:;1: desired=3"),
        ("available", deployment(3, 0), [], [], CRITICAL, "0 of 3"),
        ("rollout", deployment(revision=4), [], [], OK, "revision 4 | revision=4"),
        ("rollout", deployment(conditions=[FAILED]), [], [], CRITICAL, "has timed out progressing."),
        ("rollout", deployment(paused=True), [], [], WARNING, "is paused"),
        ("pending", deployment(), [pod()], [], OK, "none waits | pending_seconds=0s;30;60 pending=0"),
        ("pending", deployment(), [pod(age=45, phase="Pending", conditions=[UNSCHEDULABLE])], [], WARNING,
         "1 pods wait, the longest for 45 s: ei-a: Unschedulable: 0/3 nodes are available"),
        ("pending", deployment(), [pod(age=61, containers=[STUCK])], [], CRITICAL, "ImagePullBackOff"),
        ("pending", deployment(), [pod(age=10, containers=[STUCK])], [], OK, "ImagePullBackOff"),
        ("pending", deployment(), [pod(age=900, conditions=[NOT_READY], containers=[LOOPING])], [], CRITICAL,
         "the longest for 90 s: ei-a: CrashLoopBackOff"),
        ("pending", deployment(), [pod(age=61, containers=[STUCK], deleted=5)], [], OK, "none waits"),
        ("pending", deployment(), [pod(age=900, conditions=[NOT_READY])], [], CRITICAL, "not ready: Containers"),
        ("pending", deployment(), [pod(age=900, phase="Failed", conditions=[NOT_READY])], [], OK, "none waits"),
        ("exists", deployment(), [], [], OK, "the cluster has it"),
        ("restarts", deployment(), [pod(containers=[container(restarts=2)])], [], OK, "restarted=0;1;3 restarts=2c"),
        ("restarts", deployment(), [pod(containers=[container(restarts=2, last=ended(100, "OOMKilled", 137))])], [],
         OK, "1 containers were restarted in the last 600 s: ei-a (OOMKilled, exit code 137)"),
        ("restarts", deployment(), [pod(n, containers=[container(restarts=2, last=ended(100))]) for n in "abcd"], [],
         CRITICAL, "4 containers"),
        ("restarts", deployment(), [pod(containers=[container(restarts=2, last=ended(100))])], ["--window", "60"],
         OK, "0 containers"),
        ("autoscaler", autoscaler(current=3), [], [], OK, "3 of at most 6 replicas | at_maximum_seconds=0s;300"),
        ("autoscaler", autoscaler(100), [], [], OK, "at the maximum for 100 s"),
        ("autoscaler", autoscaler(301), [], [], WARNING, "at the maximum for 301 s: it wants more than it may have"),
        ("autoscaler", autoscaler(active="False"), [], [], WARNING, "cannot work: FailedGetResourceMetric"),
        ("node", {"status": {"conditions": [condition("Ready", "True")]}}, [], [], OK, "Ready | not_ready_seconds=0s"),
        ("node", {"status": {"conditions": [condition("Ready", "Unknown", ago=30)]}}, [], [], CRITICAL,
         "not Ready (Unknown) for 30 s"),
        ("node", {"status": {"conditions": [condition("Ready", "True"), condition("DiskPressure", "True")]}}, [], [],
         WARNING, "DiskPressure"),
        ("node", {"spec": {"unschedulable": True}, "status": {"conditions": [condition("Ready", "True")]}}, [], [],
         OK, "Ready, cordoned"),
        ("node", {}, [], [], CRITICAL, "not Ready (unknown)"),
    ],
)  # fmt: skip
def test_what_is_said(
    plugin: ModuleType, check: str, item: Any, pods: Any, more: list[str], state: int, words: str
) -> None:
    found, line = said(plugin, check, item, pods, *more)
    assert (found, words in line) == (state, True), line
    assert "\n" not in line
    assert line.count("|") == 1


@pytest.mark.parametrize(
    ("text", "alerts", "quiet"),
    [
        ("10", [-1, 11], [0, 10]),
        ("10:", [9.9], [10, 1e9]),
        ("~:10", [11], [-1e9, 10]),
        ("10:20", [9, 21], [10, 20]),
        ("@10:20", [10, 20], [9, 21]),
    ],
)
def test_ranges(plugin: ModuleType, text: str, alerts: list[float], quiet: list[float]) -> None:
    found = plugin.Range(text)
    assert all(found.alerts(value) for value in alerts)
    assert not any(found.alerts(value) for value in quiet)


@pytest.mark.parametrize("text", ["x", "20:10", "nan", "1:2:3"])
def test_what_is_no_range_is_unknown(plugin: ModuleType, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended_by:
        plugin.arguments(["--check", "node", "--server", "s", "--token-file", "t", "--name", "n", "-w", text])
    assert ended_by.value.code == UNKNOWN
    assert capsys.readouterr().out.startswith("KUBERNETES CHECK UNKNOWN - argument -w")


def test_a_message_is_no_performance_data_and_no_second_line(plugin: ModuleType) -> None:
    line = plugin.line("node", CRITICAL, "a | b=1;2\nSERVICE OK\x00" + "x" * 1000, "v=1")
    assert line.startswith("KUBERNETES NODE CRITICAL - a b=1;2 SERVICE OK")
    assert line.endswith("... | v=1")
    assert line.count("|") == 1 and "\n" not in line


class FakeApi(http.server.BaseHTTPRequestHandler):
    """Answers as the test says, over TLS."""

    code = 200
    body = b"{}"
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(self.code)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key, token = folder / "tls.crt", folder / "tls.key", folder / "token"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key),
         "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    token.write_text("s3cret\n")
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeApi)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.server_port}", certificate, token
    listener.shutdown()
    listener.server_close()


def call(stand: tuple[str, Path, Path], *more: str, **changes: str) -> tuple[int, str]:
    """Run the plugin as Nagios does."""
    url, authority, token = stand
    given = {"server": url, "ca": str(authority), "token-file": str(token), "name": "ei-deployment", "timeout": "5"}
    words = [word for name, value in {**given, **changes}.items() for word in (f"--{name}", value)]
    done = subprocess.run(
        ["/usr/bin/python3", "-IS", str(FILE), *words, *more], capture_output=True, text=True, check=False, timeout=30
    )
    assert not done.stderr
    assert done.stdout.count("\n") == 1
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("code", "body", "state", "words"),
    [
        (200, json.dumps(deployment(2)), OK, "2 of 2 pods are available"),
        (200, json.dumps(deployment(2, 0)), CRITICAL, "0 of 2"),
        (403, json.dumps({"message": 'deployments.apps "x" is forbidden: User "y" cannot get'}), UNKNOWN, "cannot get"),
        (401, "{}", UNKNOWN, "answers 401"),
        (404, json.dumps({"message": 'deployments.apps "x" not found'}), UNKNOWN, "not found"),
        (500, "<html>", UNKNOWN, "answers 500"),
        (302, "", UNKNOWN, "answers 302"),
        (200, "<html>", UNKNOWN, "something else than an object"),
        (200, "[]", UNKNOWN, "something else than an object"),
        (200, '{"status": []}', CRITICAL, "0 of 0"),
        (200, '{"status": {"availableReplicas": "many"}}', UNKNOWN, "another shape"),
    ],
)
def test_every_answer(server: tuple[str, Path, Path], code: int, body: str, state: int, words: str) -> None:
    FakeApi.code, FakeApi.body = code, body.encode()
    found, line = call(server, "--check", "available", "--namespace", "e i/..")
    assert (found, words in line) == (state, True), line
    assert FakeApi.asked[-1] == ("/apis/apps/v1/namespaces/e%20i%2F../deployments/ei-deployment", "Bearer s3cret")
    assert "s3cret" not in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"server": "https://127.0.0.1:1"}, "gives no answer"),
        ({"server": "http://127.0.0.1:1"}, "--server must be like https"),
        ({"server": "https://["}, "--server must be like https"),
        ({"token-file": "/nonexistent"}, "cannot be read"),
        ({"ca": "/nonexistent"}, "cannot be read"),
        ({"ca": "/etc/ssl/certs/ca-certificates.crt"}, "gives no answer"),
    ],
)
def test_what_cannot_be_asked_is_unknown(server: tuple[str, Path, Path], changes: dict[str, str], words: str) -> None:
    found, line = call(server, "--check", "node", **changes)
    assert (found, words in line) == (UNKNOWN, True), line


def test_a_server_that_does_not_answer_in_time_is_unknown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        token = tmp_path / "token"
        token.write_text("t")
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        found, line = call((url, Path("/etc/ssl/certs/ca-certificates.crt"), token), "--check", "node", timeout="0.3")
    assert (found, "in time" in line or "timed out" in line) == (UNKNOWN, True), line


def test_the_clock_of_the_objects_is_utc(plugin: ModuleType) -> None:
    assert plugin.seconds(at(0)) == NOW
    assert plugin.seconds(None) is None


@pytest.mark.parametrize(
    ("code", "body", "state", "words"),
    [
        (200, json.dumps(deployment(2, 0)), OK, "the cluster has it"),
        (404, json.dumps({"kind": "Status", "message": "deployments.apps x not found"}), CRITICAL, "not found"),
        (404, "<html>", OK, "cannot be asked"),
        (403, json.dumps({"kind": "Status", "message": "forbidden"}), OK, "cannot be asked"),
        (500, "", OK, "cannot be asked"),
    ],
)
def test_a_host_is_down_only_when_the_cluster_says_that_it_has_it_not(
    server: tuple[str, Path, Path], code: int, body: str, state: int, words: str
) -> None:
    """Nagios hides the services of a host that is not up; an API server that is away says nothing of the workload."""
    FakeApi.code, FakeApi.body = code, body.encode()
    found, line = call(server, "--check", "exists", "--namespace", "ei")
    assert (found, words in line) == (state, True), line
    assert call(server, "--check", "exists", server="https://127.0.0.1:1")[0] == OK
