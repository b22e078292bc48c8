# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer in the lab: off unless the inventory says so, and made of today's sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import farm, wheelhouse

SETTINGS = "lab/inventory/group_vars/all/90-lab.yml"


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in farm.SOURCES + farm.HEALER_SOURCES:
        path = tmp_path / name
        path.mkdir(parents=True) if "." not in path.name else path.parent.mkdir(parents=True, exist_ok=True)
        (path / "one.yml" if path.is_dir() else path).write_text(name)
    (tmp_path / SETTINGS).parent.mkdir(parents=True)
    monkeypatch.setattr(farm, "ROOT", tmp_path)
    monkeypatch.delenv("LAB_HEALER", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("lab_healer: true\n", True),
        ("a: 1\nlab_healer:  true  # on\n", True),
        ("lab_healer: false\n", False),
        ("# lab_healer: true\n", False),
        ("", False),
    ],
)
def test_the_inventory_says_whether_there_is_a_healer(checkout: Path, text: str, wanted: bool) -> None:
    (checkout / SETTINGS).write_text(text)
    assert farm.with_healer() is wanted


@pytest.mark.parametrize(
    ("wish", "setting", "wanted"), [("1", "false", True), ("0", "true", False), ("", "true", True)]
)
def test_who_starts_the_lab_has_the_last_word(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, wish: str, setting: str, wanted: bool
) -> None:
    (checkout / SETTINGS).write_text(f"lab_healer: {setting}\n")
    monkeypatch.setenv("LAB_HEALER", wish)
    assert farm.with_healer() is wanted


@pytest.mark.parametrize("name", farm.HEALER_SOURCES)
def test_a_kept_farm_with_a_healer_is_of_the_healers_sources_too(checkout: Path, name: str) -> None:
    path = checkout / name
    changed = path / "one.yml" if path.is_dir() else path
    for setting, other in (("lab_healer: false\n", False), ("lab_healer: true\n", True)):
        (checkout / SETTINGS).write_text(setting)
        changed.write_text("before")
        before = farm.key()
        changed.write_text("after")
        assert (farm.key() != before) is other


def test_the_index_gives_everything_but_our_own_wheel() -> None:
    wanted = wheelhouse.requirements()
    assert not [name for name in wanted if wheelhouse.OWN in name or "{" in name]
    assert {"ansible-core", "ansible-runner", "prometheus-client"} <= set(wanted)


def test_one_changed_byte_is_another_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in wheelhouse.FILES:
        (tmp_path / name).write_text(name)
    for name in wheelhouse.SOURCES:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "one.py").write_text(name)
    monkeypatch.setattr(wheelhouse, "ROOT", tmp_path)
    built: list[list[str]] = []

    def fake_run(argv: list[str], timeout: float = 0) -> None:
        built.append(argv)
        folder = Path(argv[argv.index("--wheel-dir") + 1])
        folder.mkdir(parents=True)
        (folder / "selfheal_cluster-0-py3-none-any.whl").touch()

    monkeypatch.setattr(wheelhouse, "run", fake_run)
    first = wheelhouse.built(tmp_path / "cache")
    assert wheelhouse.built(tmp_path / "cache") == first and len(built) == 1
    (tmp_path / "roles/one.py").write_text("changed")
    assert wheelhouse.built(tmp_path / "cache") != first and len(built) == 2
