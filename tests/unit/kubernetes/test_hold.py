# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Holds and epochs as annotations: who may change an object, and what is written."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _kubernetes_hold as holds
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

NOW = 1000.0


def item(**notes: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "5", "annotations": {f"selfheal.cluster/{k}": v for k, v in notes.items()}}}


def held(incident: str = "i1", epoch: int = 7, expires: float = 1060) -> str:
    return holds.hold_text(incident, epoch, "shift", expires, "memory")


@pytest.mark.parametrize(
    ("given", "epoch", "reason"),
    [
        ({"metadata": {}}, 1, ""),
        (item(), 7, ""),
        (item(epoch="7"), 7, ""),
        (item(epoch="8"), 7, "stale_epoch"),
        (item(epoch="x"), 7, ""),
        (item(hold=held()), 7, ""),
        (item(hold=held("i2")), 7, "human_hold"),
        (item(hold=held("i2", expires=900)), 7, ""),
        (item(hold="{"), 7, "human_hold"),
    ],
)
def test_who_may_change_an_object(given: dict[str, Any], epoch: int, reason: str) -> None:
    if not reason:
        holds.refuse("Node kw1", given, "i1", epoch, NOW)
        return
    with pytest.raises(SelfhealError) as refused:
        holds.refuse("Node kw1", given, "i1", epoch, NOW)
    assert refused.value.reason == reason


def test_a_hold_tells_its_remaining_time() -> None:
    found = holds.read_hold({holds.HOLD: held()}, NOW)
    assert found is not None
    assert (found["incident"], found["remaining_seconds"], found["expired"]) == ("i1", 60.0, False)
    late = holds.read_hold({holds.HOLD: held()}, 1060.0)
    assert late is not None and late["expired"]
    assert holds.read_hold({}, NOW) is None


def test_a_patch_names_the_version_that_was_judged() -> None:
    made = holds.guarded(item(), [{"op": "add", "path": "/x", "value": 1}])
    assert made[0] == {"op": "replace", "path": "/metadata/resourceVersion", "value": "5"}
    assert len(made) == 2


@pytest.mark.parametrize(
    ("given", "changes", "made"),
    [
        ({"metadata": {}}, {"selfheal.cluster/epoch": "7"},
         [{"op": "add", "path": "/metadata/annotations", "value": {}},
          {"op": "add", "path": "/metadata/annotations/selfheal.cluster~1epoch", "value": "7"}]),
        (item(hold="x"), {"selfheal.cluster/hold": None},
         [{"op": "remove", "path": "/metadata/annotations/selfheal.cluster~1hold"}]),
        (item(), {"selfheal.cluster/hold": None}, []),
        ({"metadata": {}}, {"selfheal.cluster/hold": None}, []),
    ],
)  # fmt: skip
def test_annotations_as_a_patch(given: Any, changes: Any, made: Any) -> None:
    assert holds.note_changes(given, changes) == made
