# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A fake run of a heal, as a process: what the unit would run, without Ansible and without machines.

Real: looking the incident up, the plan with its attempt, leases and epoch, each phase of the lease, the outcome.
Fake: the node and its balancers, which are files. A file ``stop-at-PHASE`` keeps it in that phase.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan_owner import whoami
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import extend, release
from selfheal_cluster.healer import results
from selfheal_cluster.healer.config import load
from selfheal_cluster.healer.run_heal import look_up, make_folder
from selfheal_cluster.healer.units import parse_name
from tests.unit.healer.process_farm import NODE, PATIENCE_SECONDS, heal_policies
from tests.unit.planner import farm as planner


def act(folder: Path, phase: str) -> None:
    """What a phase does to the node and to its balancers."""
    if phase == "shift":
        (folder / "held").touch()
    elif phase == "restart":
        assert (folder / "held").exists(), "a node in traffic is restarted"
        with (folder / "restarts").open("a") as restarts:
            restarts.write(f"{time.time()}\n")
        (folder / "ill").unlink(missing_ok=True)
    elif phase == "readmit":
        (folder / "held").unlink()


def question(folder: Path, incident: str, now: float) -> dict[str, Any]:
    """What a run tells the plan: the farm as it is now."""
    seen, _policies, _past, _now = planner.farm({"node": NODE})
    ill = (folder / "ill").exists()
    seen["verdicts"][NODE] = planner.verdict(NODE, "resource" if ill else "ok", float(int(now)))
    return {"snapshot": seen, "policies": heal_policies(), "owner": whoami(os.getpid()), "dead": [],
            "incident": incident}  # fmt: skip


def main(name: str, path: str) -> int:
    """One heal."""
    config = load(path)
    folder = Path(config.spool).parent
    incident, number = parse_name(name)
    node, live = look_up(config.journal, incident, number)
    own = make_folder(config.runs, name, live)
    result: dict[str, Any] = {"node": node, "incident": incident, "started_at": time.time(), "outcome": ""}
    with Journal(config.journal) as journal:
        heal = journal.decide(question(folder, incident, time.time()), time.time())
        if not heal["admitted"]:
            print(f"refused: {heal['refusals']}", flush=True)
            return 2
        for phase in heal["phases"]:
            # Real deadlines are for real phases: here one lasts as long as the test holds it.
            extend(journal, incident, heal["epoch"], phase, PATIENCE_SECONDS * 3, time.time())
            (folder / f"in-{phase}").touch()
            while (folder / f"stop-at-{phase}").exists():
                time.sleep(0.02)
            act(folder, phase)
            if phase == "shift":
                result["traffic_safe_at"] = time.time()
        result.update(outcome="healed", status="healed", restored_at=time.time())
        release(journal, incident, heal["epoch"], "healed", {}, time.time())
    (own / results.RESULT).write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
