# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Take evidence on this machine: commands side by side, bounded in time and in size."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from typing import Any, Dict, List, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._evidence import Source, clip
from ansible_collections.selfheal.cluster.plugins.module_utils._evidence_secrets import redact

TOGETHER = 3  # an ill node has little to spare
POLL = 0.01
Job = Tuple[Source, Any, Any]


def _start(source: Source) -> Job:
    # Files of the system, not pipes: a full pipe would stop the command, and reading it would need threads.
    sink = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as its command
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    try:
        process = subprocess.Popen(
            list(source.argv), stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip
    except OSError as exc:
        sink.write(str(exc).encode())
        return source, None, sink
    return source, process, sink


def _text(sink: Any, limit: int) -> str:
    sink.seek(0)
    raw = sink.read(8 * limit)
    sink.close()
    return clip(redact(raw.decode("utf-8", "replace")), limit)


def collect(wanted: List[Source], seconds: float, limit: int) -> Tuple[Dict[str, str], List[str]]:
    """Texts by name, and the names of what was given up."""
    end = time.monotonic() + seconds
    waiting, running = list(wanted), []  # type: List[Source], List[Job]
    texts: Dict[str, str] = {}
    missing: List[str] = []
    while waiting or running:
        while waiting and len(running) < TOGETHER:
            running.append(_start(waiting.pop(0)))
        for job in list(running):
            source, process, sink = job
            if process is None or process.poll() is not None:
                running.remove(job)
                texts[source.name] = _text(sink, limit)
        if time.monotonic() >= end:
            break
        time.sleep(POLL)
    for source, process, sink in running:
        process.kill()
        process.wait()
        missing.append(source.name)
        texts[source.name] = _text(sink, limit)  # what it said so far
    return texts, missing + [source.name for source in waiting]
