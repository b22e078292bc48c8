# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What stands in the way of a heal of Kubernetes: whether the cluster can be asked at all, and what it says. Pure."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_rungs import short_of_room
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_seen import Finding, finding

_PART = {"workload": "workloads", "machine": "nodes"}


def cluster_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the cluster said, out of a registered answer; or that nobody could ask it."""
    found = answer.get("kubernetes")
    if isinstance(found, Mapping):
        return found
    why = str(answer.get("msg") or "it was not asked").strip().splitlines()[0][:300]
    return {"reachable": False, "reason": "", "error": why, "workloads": {}, "nodes": {}}


def workload_sights(layers: Iterable[Mapping[str, Any]], answer: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """A workload has no machine: it is reachable when the cluster can be asked about it."""
    seen = cluster_of(answer)
    found = {}
    for layer in layers:
        for node in layer["nodes"] if layer.get("kind") == "workload" else []:
            own = seen["workloads"].get(node) or {}
            error = str(seen["error"] or own.get("error") or ("" if own else "the cluster was not asked about it"))
            found[node] = {"reachable": not error, "error": error}
    return found


def kubernetes_findings(observed: Mapping[str, Any], layer: Mapping[str, Any]) -> Iterator[Finding]:
    """One layer of workloads, or of machines of a cluster."""
    seen, name = cluster_of(observed.get("kubernetes") or {}), str(layer["layer"])
    if not seen["reachable"]:
        where = "selfheal_kubeconfig: %s    # on the host of the journal, readable by its user" % layer.get(
            "kubeconfig"
        )
        what = "Kubernetes cannot be asked: %s" % seen["error"]
        yield finding("blocks", name, what, "group_vars/%s.yml" % name, (where,))
        return
    for node in layer["nodes"] or []:
        own = seen[_PART[str(layer["kind"])]].get(node) or {}
        if not own or own.get("error"):
            what = str(own.get("error") or "the cluster was not asked about it")
            wrong = own.get("reason") == "not_found"
            lines = ["selfheal_object: NAME_IN_THE_CLUSTER"] if wrong else []
            yield finding("blocks", node, what, "host_vars/%s.yml" % node if wrong else "", lines)
        elif layer["kind"] == "workload":
            yield from _workload(node, own)
        else:
            yield from _machine(node, own)


def _workload(node: str, own: Mapping[str, Any]) -> Iterator[Finding]:
    for text in own["missing"]:
        yield finding("weakens", node, "not seen of it: %s" % text)
    full = short_of_room(own)
    if full:
        yield finding("note", node, full)
    if not own["budgets"]:
        yield finding("weakens", node, "no PodDisruptionBudget: a drain may take all of its pods at once")
    if own["rollback_to"] is None:
        what = "no revision before this one is known to have been available: a bad roll-out calls a person"
        yield finding("note", node, what)


def _machine(node: str, own: Mapping[str, Any]) -> Iterator[Finding]:
    if own["human_cordon"]:
        yield finding("note", node, "it is cordoned by somebody, and stays so")
    for item in own["refusals"]:
        yield finding("weakens", node, "it could not be drained now: %s" % item["detail"])
