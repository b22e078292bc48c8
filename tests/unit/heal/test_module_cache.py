# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Packed modules of earlier runs: used only if they fit and nobody else could have written them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.selfheal.cluster.plugins.plugin_utils import _module_cache as cache

NAME = f"{cache.PREFIX}heal_plan-ZIP_DEFLATED-none"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def packed(folder: Path, name: str = NAME) -> str:
    (folder / cache.IN_RUN).mkdir(parents=True)
    (folder / cache.IN_RUN / name).write_bytes(b"packed")
    return str(folder)


def empty(folder: Path) -> str:
    folder.mkdir()
    return str(folder)


def test_what_one_run_packed_the_next_one_has(tmp_path: Path) -> None:
    assert cache.warm(empty(tmp_path / "first")) == 0
    assert cache.keep(packed(tmp_path / "one")) == 1
    assert cache.keep(str(tmp_path / "one")) == 0
    assert cache.warm(empty(tmp_path / "two")) == 1
    assert (tmp_path / "two" / cache.IN_RUN / NAME).read_bytes() == b"packed"


def test_only_our_own_whole_modules_are_kept(tmp_path: Path) -> None:
    assert cache.keep(packed(tmp_path / "one", "ansible.modules.ping-ZIP")) == 0
    assert cache.keep(packed(tmp_path / "two", f"{NAME}.lock")) == 0
    assert cache.keep(packed(tmp_path / "three", f"{NAME}-part")) == 0


def test_a_cache_that_others_could_write_is_not_used(tmp_path: Path) -> None:
    cache.keep(packed(tmp_path / "one"))
    cache.home().chmod(0o777)
    assert cache.warm(empty(tmp_path / "two")) == 0
    assert cache.keep(packed(tmp_path / "three")) == 0


def test_a_link_in_place_of_the_cache_is_not_followed(tmp_path: Path) -> None:
    cache.keep(packed(tmp_path / "one"))
    real = cache.home().rename(tmp_path / "elsewhere")
    cache.home().symlink_to(real)
    assert cache.warm(empty(tmp_path / "two")) == 0


def test_another_file_makes_another_cache(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "plugins/modules").mkdir(parents=True)
    (tree / "plugins/module_utils").mkdir()
    before = cache.key(tree)
    (tree / "plugins/module_utils/_x.py").write_text("x = 1\n", encoding="ascii")
    assert cache.key(tree) != before


def test_caches_of_older_files_are_removed(tmp_path: Path) -> None:
    cache.keep(packed(tmp_path / "one"))
    old = cache.home() / "old"
    old.mkdir()
    cache.keep(str(tmp_path / "one"))
    assert not old.exists()


def test_no_home_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert cache.warm(str(tmp_path)) == 0
    assert cache.keep(str(tmp_path)) == 0
