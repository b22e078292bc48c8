# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Packed modules of earlier runs: used only if they fit and nobody else could have written them."""

from __future__ import annotations

import base64
import dataclasses
import io
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_flow import STRATEGIES
from ansible_collections.selfheal.cluster.plugins.plugin_utils import _module_cache as cache
from tests.unit.healer.test_process import ENV

ROOT = Path(__file__).resolve().parents[3]
#: What tasks beside those of a heal run: survey, abort, show.
NOT_OF_HEALS = {"heal_info", "heal_journal", "node_survey_info"}
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


def test_only_the_newest_caches_are_kept(tmp_path: Path) -> None:
    cache.keep(packed(tmp_path / "one"))
    for number in range(5):
        old = cache.home() / f"old{number}"
        old.mkdir()
        os.utime(old, (number, number))
    cache.keep(str(tmp_path / "one"))
    assert sorted(path.name for path in cache.home().iterdir() if path.name.startswith("old")) == [
        "old2",
        "old3",
        "old4",
    ]


def test_no_home_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert cache.warm(str(tmp_path)) == 0
    assert cache.keep(str(tmp_path)) == 0


PACK = f"""
from selfheal_cluster.healer import warm
warm.load()
from ansible import constants
from {cache.__name__} import missing, pack
print(*[sum(pack(name, constants.DEFAULT_LOCAL_TMP) for name in missing(["heal_look"])) for _ in "ab"])
"""


def test_what_nobody_has_packed_is_packed_before_a_heal_and_once(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": ENV["PYTHONPATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PACK], env=environment, text=True, capture_output=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["1", "0"], done.stderr
    assert cache.warm(empty(tmp_path / "next")) == 1
    (kept,) = (tmp_path / "next" / cache.IN_RUN).iterdir()
    content = zipfile.ZipFile(io.BytesIO(base64.b64decode(pickle.loads(kept.read_bytes()).zip_data)))
    assert {f"{cache.PREFIX.replace('.', '/')}heal_look.py{end}" for end in ("", "c")} <= set(content.namelist())


def test_every_module_that_a_heal_runs_is_packed_before_it() -> None:
    tasks = [ROOT / "playbooks/heal.yml"]
    for role in ("journal_host", "node_evidence", *STRATEGIES):
        tasks += ROOT.glob(f"roles/{role}/tasks/*.yml")
    text = "\n".join(path.read_text(encoding="utf-8") for path in (*tasks, *ROOT.glob("plugins/action/*.py")))
    named = set(re.findall(r"selfheal\.cluster\.(\w+)|\bask: (\w+)", text))
    modules = {path.stem for path in ROOT.glob("plugins/modules/*.py") if "def main" in path.read_text("utf-8")}
    used = {name for pair in named for name in pair} & modules
    assert "gauge_info" in used and "kubernetes_workload_info" in used
    assert used - NOT_OF_HEALS == set(cache.OF_HEALS)


def archive(**sources: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as content:
        for name, text in sources.items():
            content.writestr(f"{name}.py", text)
    return stream.getvalue()


def imported(path: Path, name: str) -> str:
    """What a fresh Python gets from this archive."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(path)!r}); import {name} as m; print(m.x)"],
        text=True, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_byte_code_is_taken_instead_of_compiling_again(tmp_path: Path) -> None:
    path = tmp_path / "packed.zip"
    whole = cache.compiled(archive(one="x = 1\n"))
    assert cache.compiled(whole) == whole
    with zipfile.ZipFile(io.BytesIO(whole)) as content:
        assert content.namelist() == ["one.py", "one.pyc"]
        code = content.read("one.pyc")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as content:
        content.writestr("one.py", "x = 'compiled again'\n")
        content.writestr("one.pyc", code)
    path.write_bytes(stream.getvalue())
    assert imported(path, "one") == "1"


def test_byte_code_of_another_python_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "packed.zip"
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(cache.compiled(archive(one="x = 1\n")))) as content:
        code = content.read("one.pyc")
    with zipfile.ZipFile(stream, "w") as content:
        content.writestr("one.py", "x = 'from source'\n")
        content.writestr("one.pyc", b"\x00\x00" + code[2:])
    path.write_bytes(stream.getvalue())
    assert imported(path, "one") == "from source"


def test_sources_that_do_not_compile_keep_the_module_as_it_was(tmp_path: Path) -> None:
    assert cache.keep(packed(tmp_path / "one")) == 1  # not even a pickle
    cache.warm(empty(tmp_path / "two"))
    assert (tmp_path / "two" / cache.IN_RUN / NAME).read_bytes() == b"packed"


@dataclasses.dataclass(frozen=True)
class Packed:
    """As ansible-core keeps a packed module."""

    zip_data: bytes
    name: str = "heal_plan"


def test_what_is_kept_has_byte_code(tmp_path: Path) -> None:
    run = packed(tmp_path / "one")
    (Path(run) / cache.IN_RUN / NAME).write_bytes(pickle.dumps(Packed(base64.b64encode(archive(one="x = 1\n")))))
    assert cache.keep(run) == 1
    cache.warm(empty(tmp_path / "two"))
    kept = pickle.loads((tmp_path / "two" / cache.IN_RUN / NAME).read_bytes())
    assert kept.name == "heal_plan"
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(kept.zip_data))) as content:
        assert content.namelist() == ["one.py", "one.pyc"]
