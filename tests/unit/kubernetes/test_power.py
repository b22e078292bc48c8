# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whose power may be taken away: the API server's word at that moment (it is a fake here)."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import Api
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_hold import EPOCH, HOLD, hold_text
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_node import CORDONED
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_power import POWERED, Right

from .fake_api import FakeApi

NODE = "/api/v1/nodes/kw1"
NOW = 1000.0


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApi]:
    made = FakeApi(tmp_path)
    made.answers[("PATCH", NODE)] = (200, {})
    yield made
    made.close()


def put(
    fake: FakeApi, status: str = "Unknown", expires: float = NOW + 60, incident: str = "i1", cordoned: bool = True,
    since: float = 400, machine: str = "m1", **notes: str,
) -> None:  # fmt: skip
    held = {HOLD: hold_text(incident, 7, "shift", expires, ""), CORDONED: incident} if incident else {}
    at = datetime.datetime.fromtimestamp(NOW - since, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fake.answers[("GET", NODE)] = (200, {
        "metadata": {"name": "kw1", "resourceVersion": "5", "annotations": {**held, **notes}},
        "spec": {"unschedulable": cordoned},
        "status": {
            "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": at}],
            "nodeInfo": {"bootID": "b1", "machineID": machine},
        },
    })  # fmt: skip


def asked(fake: FakeApi) -> list[Any]:
    return [sent for method, _path, sent, _headers in fake.asked if method == "PATCH"]


def of(fake: FakeApi, epoch: int = 7) -> Right:
    return Right(Api(str(fake.kubeconfig)), "kw1", "i1", epoch, 300, ["mine"], lambda: NOW)


def test_it_is_written_down_before_anything_is_done(fake: FakeApi) -> None:
    put(fake)
    found = of(fake)
    assert found.look(False) is True and asked(fake) == []
    assert found.look(True) is True and found.boot_id == "b1"
    (patch,) = asked(fake)
    assert {it["path"].rpartition("~1")[2]: it["value"] for it in patch[1:]} == {"epoch": "7", "powered": "i1 7 b1"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"status": "True"}, "not_silent"),
        ({"status": "False"}, "not_silent"),
        ({"incident": ""}, "not_held"),
        ({"expires": NOW - 1}, "not_held"),
        ({"incident": "i2"}, "human_hold"),
        ({EPOCH: "8"}, "stale_epoch"),
        ({"since": 200}, "not_silent"),
        ({"cordoned": False}, "not_held"),
        ({"machine": "mine"}, "own_host"),
    ],
)
def test_what_keeps_its_power(fake: FakeApi, given: dict[str, Any], reason: str) -> None:
    put(fake, **given)
    with pytest.raises(SelfhealError) as refused:
        of(fake).look(True)
    assert (refused.value.reason, asked(fake)) == (reason, [])


@pytest.mark.parametrize(
    ("mark", "fresh"), [("i1 7 b0", False), ("i1 6 b0", False), ("i0 9 b0", True), ("nonsense", True)]
)
def test_what_was_given_for_an_incident_is_not_given_again(fake: FakeApi, mark: str, fresh: bool) -> None:
    put(fake, **{POWERED: mark})
    found = of(fake)
    assert found.look(False) is fresh
    assert found.boot_id == ("b1" if fresh else "b0"), "the boot that it ended is what has to change"


def test_one_that_came_back_after_it_was_given_is_no_error(fake: FakeApi) -> None:
    put(fake, status="True", **{POWERED: "i1 7 b0"})
    assert of(fake).look(False) is False
