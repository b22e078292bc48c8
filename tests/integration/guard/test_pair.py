# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A preferred node whose keepalived starts by itself takes no address before it is verified."""

from __future__ import annotations

import json

import pytest

from tests.integration.keepalived.harness import STATE, Pair, wait_for

pytestmark = pytest.mark.network


def guard(pair: Pair, command: str, quiet: float = 1.0) -> str:
    """Run a command of the guard on the preferred node."""
    config = {"state_dir": STATE, "instances": [{"instance": "VI_ext"}], "quiet_seconds": quiet}
    (pair.one.run_dir / "guard.json").write_text(json.dumps(config))
    code = (
        "import sys; from ansible_collections.selfheal.cluster.plugins.module_utils import _guard;"
        "from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds;"
        "c = _guard.load_config('/run/guard.json'); c['poll_seconds'] = 0.3;"
        "_guard.run(c, Holds(c['state_dir']), 30) if sys.argv[1] == 'run' else sys.exit(_guard.main(sys.argv[1:]))"
    )
    environment = ("env", "PYTHONPATH=/mnt/.dev", "SELFHEAL_GUARD_CONFIG=/run/guard.json")
    return pair.one.run(*environment, pair.one.python(), "-c", code, command)


def test_the_boot_hold_keeps_the_address_away_until_the_node_is_good(pair: Pair) -> None:
    pair.start()
    pair.one.stop()
    wait_for(pair.two.has_vip)
    assert "boot hold placed" in guard(pair, "boot")
    pair.one.start()
    wait_for(lambda: pair.one.info()["instances"][0]["adverts_heard"])
    seen = pair.one.info()["instances"][0]
    assert (seen["state"], seen["effective_priority"], seen["hold"]["incident"]) == ("BACKUP", 1, "boot")
    assert pair.two.has_vip()
    assert "adverts of the peer are heard" in guard(pair, "run")
    wait_for(pair.one.has_vip)
    assert pair.one.info()["instances"][0]["hold"] is None


def test_a_node_on_a_boot_hold_serves_when_no_peer_answers(pair: Pair) -> None:
    guard(pair, "boot")
    pair.one.start()
    wait_for(pair.one.has_vip)
    assert "no peer answers" in guard(pair, "run")
    assert pair.one.offset() == "0\n"


def test_a_peer_that_holds_by_an_incident_keeps_its_offset_over_a_boot(pair: Pair) -> None:
    pair.start()
    assert pair.one.hold(mode="soft")["changed"]
    before = pair.one.offset()
    assert "incident i1 holds it" in guard(pair, "boot")
    assert pair.one.offset() == before
    assert pair.two.has_vip()
