# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Commands by which people have a word with the healer, and ``run`` and ``page`` beside them.

Each word is one run of the playbook ``words``, which says it to the journal on its host. Said twice, it changes
nothing and ends well all the same.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from selfheal_cluster.cli_base import AsJson, Inventory, check_incident, emit, one_incident, settle
from selfheal_cluster.errors import CliError, Exit

# How a refusal of the journal ends the command; anything else is an error.
CODES = {
    "unknown_incident": Exit.USAGE, "unknown_node": Exit.USAGE, "bad_event": Exit.USAGE, "lease_taken": Exit.REFUSED,
}  # fmt: skip
HINTS = {
    "lease_taken": "selfheal abort INCIDENT, and say ack again when it has ended: selfheal status",
    "no_journal": "selfheal survey says which lines are missing for a journal",
    "no_spool": "role healer makes the spool; without it an event has no reader",
}
REASON_LENGTH = 500

Check = Annotated[bool, typer.Option("--check", help="Say what would change, and change nothing.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the people who read the journal.")]
Incident = Annotated[str, typer.Argument(help="The id of an incident, as status and history show it.")]


@dataclass(frozen=True)
class Word:
    """One word: its name, what the module is told, and how the command ends in a sentence."""

    name: str
    told: Mapping[str, Any]
    done: str
    before: str  # when it was so before
    incident: str = ""


def who() -> str:
    """The person at this keyboard, as the journal shall know them; behind sudo it is who typed it."""
    import getpass
    import socket

    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def tell(word: Word, reason: str, check: bool, inventory: list[str] | None, as_json: bool) -> None:
    """Say one word to the journal, and say what became of it."""
    from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
    from selfheal_cluster import playbook as runs
    from selfheal_cluster import show

    sources, plain = settle(inventory, as_json)
    if len(reason) > REASON_LENGTH:
        raise CliError(f"--reason is longer than {REASON_LENGTH} characters", code=Exit.USAGE)
    by = who()
    spoken = json.dumps({**word.told, "by": by, **({"reason": reason} if reason else {})})
    try:
        with show.console(stderr=True).status("asking the journal"):
            done = runs.run("words", sources, check=check, word=spoken)
    except KeyboardInterrupt:
        raise CliError("stopped; whether the word was said is not known", "selfheal status") from None
    answer = done.result.get("words")
    if not isinstance(answer, dict):
        raise refusal(done) if done.failures or done.code else nobody_asked()
    changes = [str(change) for change in answer.get("changes") or []]
    if plain:
        emit({"word": word.name, "incident": word.incident or None, "by": by, "reason": reason, "check": check,
              "changed": bool(changes), "changes": changes})  # fmt: skip
        return
    if check:
        line = "Would change: " + "; ".join(changes) if changes else "Would change nothing: " + word.before
    else:
        line = word.done if changes else f"Nothing has changed: {word.before}"
        line += " Its heal is asked to go back." if any("asked to go back" in change for change in changes) else ""
        if word.name == "ack":  # closing the books moves nothing on the farm
            line += "".join(f" But {more}." for _what, mark, more in (one.partition("; ") for one in changes) if mark)
    show.say(show.console(), clean(line))


def refusal(done: Any) -> CliError:
    """What the journal or Ansible said against it, with the next step."""
    from selfheal_cluster import follow

    error, reason = follow.broken(done), follow.first_reason(done)
    return CliError(
        error.message, HINTS.get(reason, "" if reason in CODES else error.hint), CODES.get(reason, Exit.ERROR)
    )


def nobody_asked() -> CliError:
    """The inventory names no host of a journal."""
    return CliError(
        "no host of a journal: set selfheal_journal_host, or put exactly one host into group monitor",
        "selfheal survey says what is missing",
    )


def pause(reason: Reason = "", check: Check = False, inventory: Inventory = None, as_json: AsJson = False) -> None:
    """Pause all new heals. One that has not restarted its node yet goes back."""
    done = "Heals are paused. One that has not restarted its node yet goes back. To go on: selfheal resume"
    tell(Word("pause", {"paused": True}, done, "heals are paused already."), reason, check, inventory, as_json)


def resume(reason: Reason = "", check: Check = False, inventory: Inventory = None, as_json: AsJson = False) -> None:
    """Let heals go on after a pause."""
    word = Word("resume", {"paused": False}, "Heals are allowed again.", "heals were not paused.")
    tell(word, reason, check, inventory, as_json)


def about(name: str, option: str, incident: str, done: str, before: str) -> Word:
    """A word about one incident; the id is checked before anything runs."""
    check_incident(incident)
    return Word(name, {option: incident}, f"Incident {incident} {done}", f"incident {incident} {before}", incident)


def approve(
    incident: Incident, reason: Reason = "", check: Check = False, inventory: Inventory = None, as_json: AsJson = False
) -> None:
    """Let an incident of a layer in mode approve be healed."""
    word = about("approve", "approve", incident, "is approved: the healer may heal it.", "is approved already.")
    tell(word, reason, check, inventory, as_json)


def abort(
    incident: Incident, reason: Reason = "", check: Check = False, inventory: Inventory = None, as_json: AsJson = False
) -> None:
    """Ask the heal of an incident to go back; it does so if it has not restarted yet."""
    done = (
        f"is aborted: its heal goes back if it has not restarted yet. To keep the healer away: selfheal take {incident}"
    )
    tell(about("abort", "abort", incident, done, "is aborted already."), reason, check, inventory, as_json)


def take(
    incident: Incident, reason: Reason = "", check: Check = False, inventory: Inventory = None, as_json: AsJson = False
) -> None:
    """Take an incident over: nothing more is started for it, and a heal that runs goes back."""
    done = f"is yours: nothing more is started for it. When it is settled: selfheal ack {incident}."
    tell(about("take", "take", incident, done, "is taken over already."), reason, check, inventory, as_json)


def ack(
    incident: Incident, reason: Reason = "", check: Check = False, inventory: Inventory = None, as_json: AsJson = False
) -> None:
    """Settle an incident: it is closed, blocks nothing any more, and is nobody's."""
    done = "is settled: it is closed and blocks nothing."
    tell(about("ack", "acknowledge", incident, done, "is settled already."), reason, check, inventory, as_json)


def inject(
    node: Annotated[str, typer.Option("--node", help="The node that the event is about.")],
    service: Annotated[str, typer.Option("--service", help="Its service in Nagios; without it, the host.")] = "",
    state: Annotated[str, typer.Option("--state", help="CRITICAL for a service, DOWN for a host.")] = "",
    reason: Reason = "",
    check: Check = False,
    inventory: Inventory = None,
    as_json: AsJson = False,
) -> None:
    """Hand the healer an event by hand. It is a hint like every alert: readings decide."""
    from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
    from ansible_collections.selfheal.cluster.plugins.module_utils._journal_inject import HOST_STATES, SERVICE_STATES
    from selfheal_cluster import follow

    follow.check_node(node)
    known = (*SERVICE_STATES, *HOST_STATES)
    if state and state.upper() not in known:
        raise CliError(f"--state is {clean(state, 40)!r}: use one of {', '.join(known)}", code=Exit.USAGE)
    event = {"node": node, **({"service": service} if service else {}), **({"state": state.upper()} if state else {})}
    done = f"An event of {node} is in the spool. The healer looks at it as at every alert: selfheal status"
    tell(Word("inject", {"inject": event}, done, "nothing was to be said."), reason, check, inventory, as_json)


def run(context: typer.Context) -> None:
    """Be the healer: read alerts, reconcile with Nagios, start heals. Ends with Ctrl-C; what runs goes on."""
    import importlib.util

    if importlib.util.find_spec("selfheal_cluster.healer") is None:
        raise CliError("the healer is not installed with this command", "pip install selfheal-cluster")
    sys.stdout.flush()
    # The loop replaces this process, so that nothing of the command line stays in its memory.
    os.execv(sys.executable, [sys.executable, "-m", "selfheal_cluster.healer", *context.args])  # noqa: S606  # no shell


def page(
    incident: Incident,
    output: Annotated[str, typer.Option("-o", "--output", help="The file; - prints it. Else INCIDENT.html.")] = "",
    judge: Annotated[Path | None, typer.Option("--judge", help="A report of the lab's judge, for the clients.")] = None,
    inventory: Inventory = None,
    as_json: AsJson = False,
) -> None:
    """Write one HTML page about an incident. It opens offline and needs neither colour nor scripts."""
    from selfheal_cluster import show
    from selfheal_cluster.page import incident_page, judged

    sources, plain = settle(inventory, as_json)
    view = one_incident(sources, plain, incident)
    if judge is not None:
        try:
            view["judge"] = judged(json.loads(judge.read_text(encoding="utf-8")), view)
        except (OSError, ValueError) as error:
            raise CliError(f"the judge's report cannot be read: {error}", code=Exit.USAGE) from error
    text = incident_page(view)
    if output == "-":
        sys.stdout.write(text)
        return
    target = Path(output or f"{incident}.html")
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise CliError(f"{target} cannot be written: {error.strerror}", "name another file with -o") from error
    if plain:
        emit({"incident": incident, "file": str(target.resolve()), "bytes": len(text.encode())})
    else:
        show.say(show.console(), f"Wrote {target.resolve()}")


def register(app: typer.Typer) -> None:
    """Make these functions commands of ``selfheal``."""
    for command in (pause, resume, approve, abort, take, ack, inject, page):
        app.command()(command)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(run)
