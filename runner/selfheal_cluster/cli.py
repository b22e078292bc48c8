# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The command ``selfheal``. Each command runs one playbook of the collection and shows what it said.

Everything heavy is imported inside the commands, so that ``selfheal --help`` answers at once.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfheal_cluster import cli_words
from selfheal_cluster.cli_base import SETTINGS, AsJson, Inventory, emit, journal, one_incident, read, settle
from selfheal_cluster.errors import CliError, Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rich.console import Console

    from selfheal_cluster.playbook import Run

LOOK_SECONDS = 1.0  # between two looks at the journal itself
PLAYBOOK_SECONDS = 10.0  # between two runs of a playbook that looks

app = typer.Typer(
    name="selfheal",
    help="Heals a node of a layered, redundant farm that Nagios watches. Start with: selfheal survey",
    epilog="Exit codes: 0 done or healed, 1 error, 2 usage, 3 refused, 4 begun but not healed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(f"selfheal {installed('selfheal-cluster')}")
        raise typer.Exit


@app.callback()
def options(
    inventory: Inventory = None,
    as_json: AsJson = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that every command has; they may also stand behind the command."""
    SETTINGS.update(inventory=list(inventory or []), json=as_json)


@app.command()
def survey(inventory: Inventory = None, as_json: AsJson = False) -> None:
    """Show the farm as a heal would see it, and what is missing for one. Changes nothing."""
    from selfheal_cluster import show

    sources, plain = settle(inventory, as_json)
    picture = read("survey", sources, plain, "survey", "reading the farm")
    if plain:
        emit(picture)
    else:
        show.survey(show.console(), picture)


@app.command()
def heal(
    node: Annotated[str | None, typer.Argument(help="The node; without it the most urgent one.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Say what would be done, and do nothing.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Go on until no node is left that can be healed.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="drill: heal a healthy node, to practise.")] = "",
    inventory: Inventory = None,
    as_json: AsJson = False,
) -> None:
    """Heal a node: take its traffic away, restart it, prove it healthy, give the traffic back."""
    from selfheal_cluster import follow, show

    sources, plain = settle(inventory, as_json)
    if node is not None:
        follow.check_node(node)
    if node is not None and everything:
        raise CliError("--all chooses the nodes itself", "leave NODE or --all out", Exit.USAGE)
    if everything and check:
        raise CliError("--all and --check exclude each other", "see what is ill with: selfheal survey", Exit.USAGE)
    if reason not in ("", "drill"):
        raise CliError(f"--reason is {reason!r}: leave it out, or say drill", code=Exit.USAGE)
    if reason == "drill" and node is None:
        raise CliError("a drill needs the name of a node", "selfheal heal NODE --reason drill", Exit.USAGE)
    extra = {"selfheal_node": node} if node is not None else {}
    if reason:
        extra["selfheal_reason"] = reason
    out = show.console(stderr=plain)
    runs: list[Run] = []
    code = Exit.OK
    while True:
        done = one_heal(out, sources, extra, check)
        runs.append(done)
        ended = follow.outcome(done)
        # --all ends when the plan admits nothing more; that is its good end if something was healed before.
        if everything and ended == Exit.REFUSED and (len(runs) > 1 or nothing_ill(done)):
            break
        code = max(code, ended)
        if not everything or ended != Exit.OK:
            break
    if plain:
        results = [done.result or {"status": "error", "failures": done.failures} for done in runs]
        emit({"heals": results, "exit_code": int(code)} if everything else results[0])
    raise typer.Exit(int(code))


def nothing_ill(done: Run) -> bool:
    """Whether a heal without a target was refused because there is nobody to heal."""
    return {item.get("reason") for item in done.result.get("refusals") or []} <= {"not_ill"}


def one_heal(out: Console, inventory: list[str], extra: dict[str, str], check: bool) -> Run:
    """One run of the heal, followed on the terminal."""
    from selfheal_cluster import follow
    from selfheal_cluster import playbook as runs

    def say(line: str) -> None:
        out.print(line, soft_wrap=True)

    def go_back(incident: str) -> None:
        runs.start("abort", inventory, {"selfheal_incident": incident})

    interrupts = follow.Interrupts(say, go_back)
    with out.status("starting") as working:
        progress = follow.Progress(say, working.update)

        def tick(result_file: Path) -> None:
            progress.tick(result_file)
            interrupts.tick(result_file)

        done = runs.run("heal", inventory, extra, check, progress.line, tick, interrupts)
    code = follow.outcome(done)
    if done.code is None:
        say(f"Not watching any more. The heal goes on by itself; its log: {done.log}")
        say("How it ended: selfheal status, selfheal history")
    elif not done.result.get("status"):
        raise follow.without_plan(done, code)
    hint = follow.hint_of(done) if code != Exit.OK else ""
    if hint:
        say(f"Next: {hint}")
    return done


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on looking; on a pipe a line per change.")] = False,
    every: Annotated[
        float | None, typer.Option("--every", min=0.2, max=3600, help="Seconds between two looks of --watch.")
    ] = None,
    inventory: Inventory = None,
    as_json: AsJson = False,
) -> None:
    """Show heals that run, open incidents, leases and holds, and whether heals are paused."""
    from selfheal_cluster import show, status
    from selfheal_cluster import watch as watching

    sources, plain = settle(inventory, as_json)
    if watch:
        if plain:
            raise CliError("--watch and --json exclude each other", "look again and again with --json", Exit.USAGE)
        watching.watch(show.console(), *going_on(sources, every))
        return
    view = read("status", sources, plain, "status", "reading journal and holds")
    if plain:
        emit(view)
    else:
        show.put(show.console(), status.parts(view))


def going_on(sources: list[str], every: float | None) -> tuple[Callable[[], Mapping[str, Any]], float]:
    """How to look at what is going on, and how often: directly on the healer's machine, else by the playbook."""
    from selfheal_cluster import local

    place = local.here(sources)
    if place is not None:
        return partial(local.status, place), every or LOOK_SECONDS
    return partial(read, "status", sources, True, "status", ""), every or PLAYBOOK_SECONDS


@app.command()
def history(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many incidents, the newest first.")] = 20,
    inventory: Inventory = None,
    as_json: AsJson = False,
) -> None:
    """Show the incidents of the journal, the newest first."""
    from selfheal_cluster import show, view

    sources, plain = settle(inventory, as_json)
    rows = view.incidents(journal(sources, plain, limit=limit))[:limit]
    if plain:
        emit(rows)
    else:
        show.history(show.console(), rows)


@app.command(name="show")
def show_incident(
    incident: Annotated[str, typer.Argument(help="The id of an incident, as history shows it.")],
    inventory: Inventory = None,
    as_json: AsJson = False,
) -> None:
    """Show everything that the journal has about one incident."""
    from selfheal_cluster import show

    sources, plain = settle(inventory, as_json)
    found = one_incident(sources, plain, incident)
    if plain:
        emit(found)
    else:
        show.incident(show.console(), found)


cli_words.register(app)


def main() -> None:
    """The entrance of the command: every expected failure ends with a sentence and the next step."""
    try:
        app()
    except CliError as error:
        from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
        from selfheal_cluster.show import console

        out = console(stderr=True)
        out.print(f"selfheal: {clean(error.message)}", soft_wrap=True)
        if error.hint:
            out.print(f"Next: {clean(error.hint)}", soft_wrap=True)
        sys.exit(int(error.code))


if __name__ == "__main__":
    main()
