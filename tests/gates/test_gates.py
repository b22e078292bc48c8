# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The gates: every tool of the field that judges code has nothing to say, with empty ignore files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.gates.sanity import ROOT, copy_collection, run_sanity, tracked_files

BIN = Path(sys.executable).parent


def run(*command: str | Path, cwd: Path = ROOT, **extra: str) -> str:
    """Run a tool of the virtual environment; its output is the message when it fails."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1", **extra}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout[-8000:]}"
    return done.stdout


def test_ruff_check() -> None:
    run(BIN / "ruff", "check", ".")


def test_ruff_format() -> None:
    run(BIN / "ruff", "format", "--check", ".")


@pytest.mark.parametrize("tree", ["plugins", "runner", "lab"])
def test_mypy(tree: str) -> None:
    run(BIN / "mypy", tree)


def test_ansible_lint_production() -> None:
    # Found by itself, each of the many files that are no Ansible costs a third of a second.
    found = [*(ROOT / "lab").glob("*.yml"), ROOT / "lab/kubernetes/join.yml"]
    playbooks = sorted(str(path.relative_to(ROOT)) for path in found)
    places = ["playbooks", "roles", "extensions", "meta", "galaxy.yml", "lab/roles", "lab/inventory", *playbooks]
    run(
        BIN / "ansible-lint",
        "--offline",
        "--profile",
        "production",
        "--strict",
        *places,
        ANSIBLE_COLLECTIONS_PATH=f"{ROOT / '.dev'}:{ROOT / '.setup/collections'}",
    )


def test_ansible_sanity(tmp_path: Path) -> None:
    done = run_sanity(tmp_path)
    assert done.returncode == 0, done.stdout[-8000:]
    ran = re.findall(r'Running sanity test "([a-z0-9-]+)"', done.stdout)
    # In a folder that git ignores everything is skipped with exit code 0.
    assert {"validate-modules", "import", "compile", "ansible-doc"} <= set(ran), done.stdout
    assert not list((ROOT / "tests" / "sanity").glob("ignore*")), "ignore files stay empty by not being there"


def test_changelog_fragments(tmp_path: Path) -> None:
    run(BIN / "antsibull-changelog", "lint", cwd=copy_collection(tmp_path))


def test_docs(tmp_path: Path) -> None:
    run(
        BIN / "antsibull-docs",
        "lint-collection-docs",
        "--plugin-docs",
        ".",
        cwd=copy_collection(tmp_path),
        ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".setup/collections"),
    )


def texts(*suffixes: str) -> list[tuple[str, str]]:
    """Every tracked text file with one of the endings: (name, text)."""
    return [(name, (ROOT / name).read_text(encoding="utf-8")) for name in tracked_files() if name.endswith(suffixes)]


def test_each_file_names_its_licence() -> None:
    missing = [
        name
        for name, text in texts(".py", ".yml", ".yaml", ".j2", ".toml", ".sh", ".cfg")
        if "SPDX-License-Identifier: GPL-3.0-or-later" not in text[:400]
    ]
    assert not missing


EXCEPTIONS = {
    "noqa": re.compile(r"#\s*noqa(?::\s*[A-Z0-9, ]+)?(?P<rest>.*)"),
    "type: ignore": re.compile(r"#\s*type:\s*ignore(?:\[[a-z-, ]+\])?(?P<rest>.*)"),
    "changed_when: false": re.compile(r"changed_when:\s*false(?P<rest>.*)"),
    "failed_when: false": re.compile(r"failed_when:\s*false(?P<rest>.*)"),
    "ignore_errors": re.compile(r"ignore_errors:\s*true(?P<rest>.*)"),
    "nosec": re.compile(r"#\s*nosec(?P<rest>.*)"),
    "shellcheck": re.compile(r"#\s*shellcheck\s+disable=[A-Z0-9,]+(?P<rest>.*)"),
}
RUFF_CODE = re.compile(r"\"([A-Z]{1,4}\d*)\"")


def has_reason(rest: str, above: str) -> bool:
    """Whether what follows on the line says why, or the comment above it does."""
    return len(rest.strip(" #-:")) >= 8 or above.strip().startswith("#")


def exceptions(text: str) -> list[tuple[str, int, bool]]:
    """Every exception that a file makes for itself: (kind, line, whether it says why)."""
    lines = ["", *text.splitlines()]
    return [
        (kind, number, has_reason(found.group("rest"), lines[number - 1]))
        for number, line in enumerate(lines)
        for kind, pattern in EXCEPTIONS.items()
        if (found := pattern.search(line))
    ]


def ruff_ignores(text: str) -> list[tuple[str, int, bool]]:
    """Every rule that pyproject.toml switches off, for all files or for some: (rule, line, whether it says why)."""
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    wanted = [*lint["ignore"], *(code for codes in lint["per-file-ignores"].values() for code in codes)]
    lines = text.splitlines()
    begin = lines.index("ignore = [")
    found = []
    for number, line in enumerate(lines[begin:], begin + 1):
        if line.startswith("[") and line != "[tool.ruff.lint.per-file-ignores]":
            break
        codes, _sign, comment = line.partition("#")
        # The comment above may be that of another rule; the line itself has to say it.
        found += [(code, number, has_reason(comment, "")) for code in RUFF_CODE.findall(codes)]
    assert sorted(code for code, _number, _why in found) == sorted(wanted), "this test does not see every rule"
    return found


def scripts() -> list[tuple[str, str]]:
    """Tracked programs without an ending, which their first line tells: (name, text)."""
    names = [name for name in tracked_files() if "." not in Path(name).name]
    found = [(name, (ROOT / name).read_text(encoding="utf-8", errors="replace")) for name in names]
    return [(name, text) for name, text in found if text.startswith("#!")]


def test_each_exception_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter(dict.fromkeys(EXCEPTIONS, 0))
    bare: list[str] = []
    for name, text in [*texts(".py", ".yml", ".j2", ".sh"), *scripts()]:
        if name.startswith("tests/gates/"):
            continue
        for kind, number, why in exceptions(text):
            counts[kind] += 1
            if not why:
                bare.append(f"{name}:{number}: {text.splitlines()[number - 1].strip()}")
    for code, number, why in ruff_ignores((ROOT / "pyproject.toml").read_text(encoding="utf-8")):
        counts["rules off"] += 1
        if not why:
            bare.append(f"pyproject.toml:{number}: {code}")
    with capsys.disabled():
        print("\nexceptions in the code:", ", ".join(f"{kind} {count}" for kind, count in counts.items()))
    assert counts["shellcheck"] >= 2, "those of tools/setup, which this test must have seen"
    assert not bare, "\n".join(bare)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1  # noqa: E402", [("noqa", 1, False)]),
        ("x = 1  # noqa: E402  path first", [("noqa", 1, True)]),
        ("# why\nx = 1  # noqa", [("noqa", 2, True)]),
        ("# shellcheck disable=SC2086\nx $1", [("shellcheck", 1, False)]),
        ("# shellcheck disable=SC2086,SC2064  # two words on purpose", [("shellcheck", 1, True)]),
        ("ignore_errors: true", [("ignore_errors", 1, False)]),
        ("ignore_errors: true  # judged by the next task", [("ignore_errors", 1, True)]),
        ("", []),
    ],
)
def test_an_exception_is_found(text: str, found: list[tuple[str, int, bool]]) -> None:
    assert exceptions(text) == found


def test_a_rule_that_is_off_is_found() -> None:
    text = """[tool.ruff.lint]
select = ["E"]
ignore = [
  "S101",  # assert is how pytest works
  "RUF001", "RUF002",
]
# a comment above
[tool.ruff.lint.per-file-ignores]
"a/**" = ["E402"]
"b/**" = ["S"]  # a reason of its own

[tool.mypy]
x = ["E1"]
"""
    assert ruff_ignores(text) == [
        ("S101", 4, True), ("RUF001", 5, False), ("RUF002", 5, False), ("E402", 9, False), ("S", 10, True),
    ]  # fmt: skip


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    pattern = re.compile(r"pytest\.(mark\.)?(skip|xfail)")
    found = [
        name
        for name, text in texts(".py")
        if name.startswith("tests/") and pattern.search(text) and not name.startswith("tests/gates/")
    ]
    assert not found


OF_A_HEAL = ("lb_detach", "keepalived_failover", "node_evidence", "journal_host")


def test_every_remote_task_survives_an_unreachable_host() -> None:
    """Ansible runs neither rescue nor always for an unreachable host, and takes localhost out of the play."""
    missing: list[str] = []
    for name, text in texts(".yml"):
        if not name.startswith(("playbooks/", *(f"roles/{role}/" for role in OF_A_HEAL))):
            continue
        for task in re.split(r"\n(?=\s*- name:)", text):
            if "delegate_to:" in task and "ignore_unreachable: true" not in task:
                missing.append(f"{name}: {task.strip().splitlines()[0]}")
    assert not missing, "\n".join(missing)


def test_the_judge_has_no_code_of_what_heals() -> None:
    code = re.compile(r"ansible_collections|selfheal_cluster|\bplugins\b")
    assert not [name for name, text in texts(".py") if name.startswith("lab/judge/") and code.search(text)]
