# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a unit ``selfheal-heal@INCIDENT-N.service`` runs: one heal through ansible-runner, in a folder of its own.

The playbook decides for itself on live truth; the exit code is the playbook's. A unit named ``ready-HEX-1`` is a
prepared run: it begins the same without an incident, and takes over the first that the healer names (``ready``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan_spec import BEGUN, ORIGIN
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from selfheal_cluster.errors import CliError
from selfheal_cluster.healer import ready, results, warm
from selfheal_cluster.healer.config import DEFAULT_PATH, Config, load
from selfheal_cluster.healer.units import parse_name
from selfheal_cluster.playbook import environment

PLAYBOOK = "selfheal.cluster.heal"
IDENT = "heal"
DROPPED = ("ANSIBLE_STDOUT_CALLBACK",)  # the runner sets its own, which also writes the events
REFUSED = (SelfhealError, CliError, OSError)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="selfheal-run-heal",
        description="One heal of an incident in the journal, as a unit of systemd runs it. By hand use: selfheal heal.",
        epilog="Exit codes: those of ansible-playbook; 1 when the heal could not begin (the sentence says why).",
    )
    found.add_argument(
        "name", metavar="INCIDENT-N", help="the incident and the number of the run; or ready-HEX-1: wait for one"
    )
    found.add_argument("--config", default=DEFAULT_PATH, metavar="FILE", help="settings (default: %(default)s)")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The entrance of the unit."""
    options = parser().parse_args(argv)
    try:
        incident, number = parse_name(options.name)
        config = load(options.config)
        if ready.NAME.fullmatch(options.name):
            return prepared(config, options.name, options.config)
        node, live = look_up(config.journal, incident, number)
        folder = make_folder(config.runs, options.name, live)
        return run(config, folder, node, incident)
    except REFUSED as exc:
        sys.stderr.write(f"selfheal-run-heal: {why(exc)}\n")
        return 1


def why(exc: BaseException) -> str:
    """One sentence."""
    if isinstance(exc, OSError):
        return f"cannot write {exc.filename or 'to the folder of runs'}: {exc.strerror or exc}"
    return str(getattr(exc, "message", exc))


def look_up(path: str, incident: str, number: int) -> tuple[str, list[str]]:
    """The node of the incident, and the names of all runs that have not ended or whose incident is open.

    The name of the unit is the only thing that comes from outside; everything else is what the journal says.
    """
    with Journal(path) as journal:
        found = journal.rows(
            "SELECT node, state, ended_at FROM runs JOIN incidents ON incidents.id = runs.incident"
            " WHERE runs.incident = ? AND number = ?", incident, number,
        )  # fmt: skip
        if not found:
            raise SelfhealError("unknown_incident", f"the journal knows no run {number} of incident {incident}")
        if found[0]["state"] != "open":
            raise SelfhealError("unknown_incident", f"incident {incident} is closed; nothing is left to heal")
        if found[0]["ended_at"] is not None:
            raise SelfhealError("unknown_incident", f"run {number} of incident {incident} has ended already")
        if journal.flag("taken:" + incident):  # said after the run was written down, before its unit came up
            raise SelfhealError("taken", f"a person has taken over incident {incident}; nothing of ours touches it")
        return str(found[0]["node"]), alive(journal)


def alive(journal: Journal) -> list[str]:
    """The names of all runs that have not ended or whose incident is open: their folders stay."""
    found = journal.rows(
        "SELECT incident, number FROM runs JOIN incidents ON incidents.id = runs.incident"
        " WHERE ended_at IS NULL OR state = 'open'"
    )
    return [f"{row['incident']}-{row['number']}" for row in found]


def make_folder(runs: str, name: str, live: Sequence[str], hidden: bool = False) -> Path:
    """A folder that no run had before, and room for it."""
    folder = ready.folder_of(runs, name) if hidden else Path(runs) / name
    try:
        results.prune(runs, [*live, name], kept_bytes=None)  # traffic is not safe yet: nothing here may take long
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise SelfhealError("run_exists", f"{folder} is there already: this run has been started before") from None
    except OSError as exc:
        raise SelfhealError("no_runs", f"cannot write to {runs}: {exc.strerror}") from exc
    return folder


def make_room(config: Config, name: str) -> None:
    """After a heal: the quota of bytes, for the next one. The heal is what it is, whatever becomes of this."""
    try:
        with Journal(config.journal) as journal:
            live = alive(journal)
        results.prune(config.runs, [*live, name])
    except (SelfhealError, OSError) as exc:
        sys.stderr.write(f"selfheal-run-heal: old runs stay in {config.runs}: {exc}\n")


def run_environment(config: Config, folder: Path, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of the playbook. No secret is in it: the runner writes it to its artifacts."""
    env = environment(base, folder / results.RESULT)
    for name in DROPPED:
        env.pop(name, None)
    env["ANSIBLE_CONFIG"] = config.ansible_config
    env[ORIGIN] = "healer"  # mode approve: only a heal that a person types needs no approval
    return env


def run(config: Config, folder: Path, node: str, incident: str) -> int:
    """The heal itself, to its end."""
    announce(node, incident, folder)
    done = play(config, folder, run_environment(config, folder, os.environ), extravars=extra(node, incident))
    return ended(config, folder.name, done)


def prepared(config: Config, name: str, settings: str) -> int:
    """A prepared run: all but the incident, to the end of the heal that it was given, if it was."""
    with Journal(config.journal) as journal:
        live = alive(journal)
    folder = make_folder(config.runs, name, live, hidden=True)
    try:
        env = {**run_environment(config, folder, os.environ), warm.NAME: name, warm.SETTINGS: settings}
        done = play(config, folder, env, words=[sys.executable, "-m", warm.__name__])
        if folder.is_symlink():
            return ended(config, folder.readlink().name, done)
        return code_of(done)
    finally:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)


def take_over(config: Config, name: str, run: str) -> list[str]:
    """The prepared run becomes this one: its folder gets the run's name, and is still found by its own.

    The words that ``ansible-playbook`` needs more. Refused like a run that is started by its name.
    """
    incident, number = parse_name(run)
    node, _live = look_up(config.journal, incident, number)
    own, folder = ready.folder_of(config.runs, name), Path(config.runs) / run
    if os.path.lexists(folder):
        raise SelfhealError("run_exists", f"{folder} is there already: this run has been started before")
    own.rename(folder)
    own.symlink_to(run)  # the runner has begun with that path
    os.environ.update({"SELFHEAL_RESULT_FILE": str(folder / results.RESULT), BEGUN: repr(time.time())})
    given = folder / "env" / "extravars"
    given.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(given, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as sink:
        json.dump(extra(node, incident), sink)
    announce(node, incident, folder)
    return ["-e", f"@{given}"]


def extra(node: str, incident: str) -> dict[str, str]:
    """What the playbook is told of its heal."""
    return {"selfheal_node": node, "selfheal_incident": incident}


def announce(node: str, incident: str, folder: Path) -> None:
    """The first line in systemd's journal."""
    sys.stdout.write(f"selfheal-run-heal: heal of {node}, incident {incident}, in {folder}\n")
    sys.stdout.flush()


def play(config: Config, folder: Path, env: Mapping[str, str], words: Sequence[str] = (), **more: Any) -> Any:
    """The playbook through ansible-runner. ``words`` are another program that takes ansible-playbook's words."""
    from ansible_runner import interface

    # The runner adds its own environment to that of the playbook, and writes all of it down: only ours may be there.
    os.environ.clear()
    os.environ.update(env)
    runner = interface.init_runner(
        private_data_dir=str(folder),
        ident=IDENT,
        playbook=PLAYBOOK,
        inventory=config.inventory,
        envvars=dict(env),
        quiet=False,
        # The runner would end the heal where its copy of the output does not fit on the disk; systemd's journal has it.
        # And who asks it to end is heard within a second.
        settings={"suppress_output_file": True, "pexpect_timeout": 1},
        **more,
    )
    if words:
        runner.config.command[:1] = words
    runner.run()
    return runner


def ended(config: Config, name: str, done: Any) -> int:
    """What came of it, and room for the next one."""
    incident, number = parse_name(name)
    result = results.read_result(config.runs, incident, number)
    word = result.get("status") or done.status
    node = result.get("node") or incident
    sys.stdout.write(f"selfheal-run-heal: {node}: {json.dumps(word)}, exit code {done.rc}\n")
    make_room(config, name)
    return code_of(done)


def code_of(done: Any) -> int:
    """The playbook's exit code; 1 when the runner knows none."""
    return int(done.rc if done.rc is not None else 1)


if __name__ == "__main__":
    sys.exit(main())
