# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whose power may be taken away: the API server's word at that moment (it is a fake here)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import Api
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_hold import EPOCH, HOLD, hold_text
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


def put(fake: FakeApi, status: str = "Unknown", expires: float = NOW + 60, incident: str = "i1", **notes: str) -> None:
    held = {HOLD: hold_text(incident, 7, "shift", expires, "")} if incident else {}
    fake.answers[("GET", NODE)] = (200, {
        "metadata": {"name": "kw1", "resourceVersion": "5", "annotations": {**held, **notes}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": status}], "nodeInfo": {"bootID": "b1"}},
    })  # fmt: skip


def asked(fake: FakeApi) -> list[Any]:
    return [sent for method, _path, sent, _headers in fake.asked if method == "PATCH"]


def of(fake: FakeApi, epoch: int = 7, since: int = 0) -> Right:
    return Right(Api(str(fake.kubeconfig)), "kw1", "i1", epoch, since, lambda: NOW)


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
    ],
)
def test_what_keeps_its_power(fake: FakeApi, given: dict[str, Any], reason: str) -> None:
    put(fake, **given)
    with pytest.raises(SelfhealError) as refused:
        of(fake).look(True)
    assert (refused.value.reason, asked(fake)) == (reason, [])


@pytest.mark.parametrize(
    ("mark", "since", "fresh"),
    [
        ("i1 7 b0", 0, False),
        ("i1 6 b0", 6, False),
        ("i1 6 b0", 0, True),
        ("i0 9 b0", 0, True),
        ("nonsense", 0, True),
    ],
)
def test_what_was_given_for_an_incident_is_not_given_again(fake: FakeApi, mark: str, since: int, fresh: bool) -> None:
    put(fake, **{POWERED: mark})
    found = of(fake, since=since)
    assert found.look(False) is fresh
    assert found.boot_id == ("b1" if fresh else "b0"), "the boot that it ended is what has to change"


def test_one_that_came_back_after_it_was_given_is_no_error(fake: FakeApi) -> None:
    put(fake, status="True", **{POWERED: "i1 7 b0"})
    assert of(fake).look(False) is False
