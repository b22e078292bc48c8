# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Cgroups of a machine that ends: they go while they are looked at, and that is what was wanted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lab import build


def test_what_goes_while_it_is_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gone/below", "stays/below"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "freezer.state").write_text("FROZEN")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if str(path) == str(tmp_path / "gone"):
            shutil.rmtree(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = build._deepest_first(tmp_path)
    assert found[0] == tmp_path / "stays" / "below" and found[-1] == tmp_path
    assert tmp_path / "gone" / "below" not in found
    build._thaw_cgroup(tmp_path)
    assert (tmp_path / "stays" / "below" / "freezer.state").read_text() == "THAWED"


def test_a_switch_that_goes_before_it_is_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "freezer.state").write_text("FROZEN")

    def gone(self: Path, *_args: Any, **_named: Any) -> int:
        raise FileNotFoundError(2, "gone", str(self))

    monkeypatch.setattr(Path, "write_text", gone)
    build._thaw_cgroup(tmp_path)
    monkeypatch.setattr(Path, "write_text", lambda self, *_args: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(PermissionError):
        build._thaw_cgroup(tmp_path)
