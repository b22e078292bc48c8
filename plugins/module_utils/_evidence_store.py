# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One folder per incident on the host of the journal, under a quota."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any, Dict, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._evidence import file_name, unpack
from ansible_collections.selfheal.cluster.plugins.module_utils._evidence_secrets import redact


def store(params: Mapping[str, Any], check_mode: bool = False) -> Dict[str, Any]:
    """Write all files of one heal; what is there already under the same epoch is written again."""
    try:
        files = unpack(params["blob"]) if params["blob"] else {}
    except Exception as exc:  # every decoder has its own errors, and all mean the same here
        raise SelfhealError("bad_evidence", f"the evidence cannot be unpacked: {exc}") from exc
    texts = {"{}.{}.txt".format(params["node"], name): text for name, text in files.items()}
    for name, content in params["outside"].items():
        texts[f"outside.{name}.json"] = redact(json.dumps(content, indent=1, sort_keys=True, default=str))
    if params["note"]:
        texts["note.txt"] = params["note"] + "\n"
    folder = os.path.join(params["path"], file_name(params["incident"]), str(int(params["epoch"])))
    names = sorted(file_name(name) for name in texts)
    if check_mode:
        return {"changed": bool(texts), "folder": folder, "files": names, "removed": []}
    try:
        _folder(params["path"], folder)
        for name, text in texts.items():
            _write(os.path.join(folder, file_name(name)), text)
        removed = prune(params["path"], params["quota"], os.path.dirname(folder))
    except OSError as exc:
        raise SelfhealError("not_written", f"evidence could not be written: {exc}") from exc
    return {"changed": bool(texts), "folder": folder, "files": names, "removed": removed}


def _folder(root: str, folder: str) -> None:
    os.makedirs(root, mode=0o700, exist_ok=True)
    for part in (os.path.dirname(folder), folder):
        os.makedirs(part, mode=0o700, exist_ok=True)
        os.chmod(part, 0o700)


def _write(path: str, text: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # never write through a link
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)


def size(folder: str) -> int:
    """Bytes below a folder."""
    total = 0
    for base, _folders, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(base, name)).st_size
    return total


def prune(root: str, quota: int, keep: str) -> List[str]:
    """Disks fill: the oldest incidents go first, never the one that was just written."""
    folders = [os.path.join(root, name) for name in os.listdir(root)]
    sizes = {folder: size(folder) for folder in folders if os.path.isdir(folder) and not os.path.islink(folder)}
    removed = []
    for folder in sorted(sizes, key=os.path.getmtime):
        if sum(sizes.values()) <= quota:
            break
        if os.path.abspath(folder) == os.path.abspath(keep):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        sizes.pop(folder)
        removed.append(os.path.basename(folder))
    return removed
