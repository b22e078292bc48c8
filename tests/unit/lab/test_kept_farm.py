# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A kept farm is used for the very sources that made it, and never carries one machine's identity to another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import base, build, farm
from lab.machines import Lab


@pytest.fixture(name="sources")
def _sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in farm.SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(farm, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture(name="state")
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab of one machine as it looks on disk."""
    state = tmp_path / "state"
    layer = state / "machines/ei1/disk/up"
    for name in ("etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "root/.ssh/authorized_keys", "etc/default/ei"):
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        (layer / name).write_text(name)
    (state / "machines/ei1/spec.json").write_text("{}")
    monkeypatch.setattr(Lab, "state", property(lambda _self: state))
    monkeypatch.setattr(Lab, "freeze", lambda _self, _node: None)
    monkeypatch.setattr(Lab, "thaw", lambda _self, _node: None)
    (state / "machines/ei1/root").mkdir()
    return state


@pytest.mark.parametrize("name", farm.SOURCES)
def test_one_changed_byte_is_another_farm(sources: Path, name: str) -> None:
    before = farm.key()
    assert farm.key() == before
    (sources / name).write_text("changed")
    assert farm.key() != before


def test_another_base_is_another_farm(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = farm.key()
    monkeypatch.setattr(base, "SUITE", "trixie")
    assert farm.key() != before


def test_what_is_kept_has_no_identity(sources: Path, state: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert farm.saved(["ei1"], cache) is None
    assert farm.save(Lab(), since=0, cache=cache)
    kept = farm.saved(["ei1"], cache)
    assert kept is not None
    assert [str(path.relative_to(kept / "ei1")) for path in kept.rglob("*") if path.is_file()] == ["etc/default/ei"]
    assert kept.stat().st_mode & 0o777 == 0o700, "it holds a password"
    assert farm.saved(["ei1", "ei2"], cache) is None, "a node more needs the playbook"


def test_with_a_healer_its_way_into_the_nodes_is_kept(
    sources: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert farm.save(Lab(), since=0, cache=tmp_path / "cache")
    monkeypatch.setenv("LAB_HEALER", "1")
    assert farm.save(Lab(), since=0, cache=tmp_path / "cache")
    kept = farm.saved(["ei1"], tmp_path / "cache")
    assert kept is not None
    files = {str(path.relative_to(kept / "ei1")) for path in kept.rglob("*") if path.is_file()}
    assert files == {"etc/default/ei", "etc/ssh/ssh_host_ed25519_key", "root/.ssh/authorized_keys"}
    monkeypatch.setenv("LAB_HEALER", "0")
    assert farm.saved(["ei1"], tmp_path / "cache"), "the other kind of farm stays"


def test_the_next_lab_is_let_in_and_the_one_before_is_not(tmp_path: Path) -> None:
    path = tmp_path / "authorized_keys"
    build.let_in(path, "ssh-ed25519 AAAA1 lab shlab\n")
    path.write_text(path.read_text() + 'restrict,from="10.213.77.2" ssh-ed25519 BBBB selfheal@monitor\n')
    build.let_in(path, "ssh-ed25519 AAAA2 lab shlab\n")
    lines = path.read_text().splitlines()
    assert lines == [
        "ssh-ed25519 AAAA2 lab shlab", 'restrict,from="10.213.77.2" ssh-ed25519 BBBB selfheal@monitor'
    ]  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_old_lab_is_not_kept(sources: Path, state: Path, tmp_path: Path) -> None:
    os.utime(state / "machines/ei1/spec.json", (1000, 1000))
    assert not farm.save(Lab(), since=1001, cache=tmp_path / "cache")


def test_only_machines_made_of_it_need_no_playbook(sources: Path, state: Path) -> None:
    assert not farm.made_of_it(Lab())
    (state / "machines/ei1/farm").write_text(farm.name())
    assert farm.made_of_it(Lab())
    (sources / farm.SOURCES[0]).write_text("changed")
    assert not farm.made_of_it(Lab())
