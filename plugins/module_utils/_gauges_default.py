# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The gauges of a layer that writes none: memory, CPU, disk, network, HTTP and keepalived as stock checks report them.

``docs/gauges.md`` explains each. They carry ``required: false``: a gauge whose check no node of the layer has does
not apply there. A node that lacks what its twins have is unknown. The times and losses beside ping and HTTP are
``optional``: a healthy check that does not print them is silent.

About the CPU: load1 is an average that falls by a factor e in a minute, so after the cause is gone it stays above its
mark for a while; from 4 to below 1 in 83 s. A node that was healed 20 s ago must not be judged faulty again for that.
Three things prevent it: ``settle_seconds`` keeps the gauge out of the verdict for that long after a heal;
``for_seconds`` counts only readings after the heal; and where check_cpu is there, it is read instead, which forgets in
a second. Farms that can choose should take check_cpu. Its thresholds are about the user share alone, and so is the
gauge: otherwise Nagios would call OK what the gauge calls raised, and nothing would prove that it lasts.

It is 20 seconds: with checks every 5 s five readings in a row, more than a burst gives, and no more, because a burnt
CPU is to be healed within a minute. Checks take longer on such a node and come later than they should, so that asking
for 30 s meant waiting for 31 to 36, and for 25 s up to 29. With checks once a minute, each of them means two readings.

load1 without ``check_load -r`` says nothing unless one knows the number of cores, so it only makes a node faulty when
Nagios, whose thresholds were chosen for that machine, calls it critical too (``agree``).
"""

from __future__ import annotations

from typing import Any, Dict, List

DEFAULT_GAUGES: List[Dict[str, Any]] = [
    {
        "name": "memory",
        "service": ["memory", "memory usage", "memory used", "mem", "mem usage", "ram", "ram usage", "physical memory"],
        # What is not available is used: caches are, shared memory is not.
        "label": "mem_available",
        "per": "mem_total",
        "invert": True,
        "raise_at": 0.90,
        "clear_at": 0.80,
        "count": {"raise": 2, "of": 3},
        "kind": "resource",
        "required": False,
        "alternatives": [
            {"label": "mem_used", "per": "max"},
            {"label": "memory_used", "per": "max"},
            {"label": "mem_used", "per": "mem_total"},
            {"label": "used", "per": "max"},
            {"label": "USED", "per": "TOTAL"},
            {"label": "memory", "unit": "ratio"},
        ],
    },
    {
        "name": "cpu",
        "service": [
            "cpu",
            "cpu load",
            "cpu usage",
            "cpu utilization",
            "load",
            "load average",
            "current load",
            "system load",
            "loadavg",
        ],
        "label": "scaled_load1",
        "raise_at": 1.5,
        "clear_at": 1.0,
        "for_seconds": 20,
        "settle_seconds": 90,
        "kind": "resource",
        "traffic": True,
        "required": False,
        "alternatives": [
            {"label": "cpu_user", "unit": "ratio", "raise_at": 0.90, "clear_at": 0.75},
            {"label": "cpu_idle", "unit": "ratio", "invert": True, "raise_at": 0.95, "clear_at": 0.85},
            {"label": "load1", "raise_at": 8.0, "clear_at": 4.0, "agree": True},
        ],
    },
    {
        "name": "disk",
        "service": [
            "disk",
            "disk *",
            "disks",
            "disk space",
            "/",
            "/*",
            "partition",
            "partition *",
            "partitions",
            "root partition",
            "filesystem",
            "filesystem *",
            "filesystems",
        ],
        "label": "/*",
        "per": "max",
        "raise_at": 0.95,
        "clear_at": 0.90,
        "count": {"raise": 2, "of": 3},
        "kind": "storage",
        "required": False,
        # Full by design, or not a disk at all.
        "ignore": ["/snap/*", "/proc", "/proc/*", "/sys", "/sys/*", "/dev", "/dev/*", "/media/*", "/cdrom*"],
    },
    {
        "name": "ping",
        "service": ["ping", "ping *", "icmp", "icmp *", "host alive", "host alive *"],
        "read": "state",
        "kind": "connectivity",
        "required": False,
    },
    {
        "name": "ping_loss",
        "service": ["ping", "ping *", "icmp", "icmp *", "host alive", "host alive *"],
        "label": "pl",
        "unit": "ratio",
        "raise_at": 0.60,
        "clear_at": 0.20,
        "count": {"raise": 2, "of": 3},
        "kind": "connectivity",
        "required": False,
        "optional": True,
        "alternatives": [{"label": "*pl", "unit": "ratio"}],
    },
    {
        "name": "ping_time",
        "service": ["ping", "ping *", "icmp", "icmp *", "host alive", "host alive *"],
        "label": "rta",
        "unit": "s",
        "raise_at": 0.5,
        "clear_at": 0.2,
        "count": {"raise": 3, "of": 5},
        "kind": "connectivity",
        "required": False,
        "optional": True,
        "alternatives": [{"label": "*rta", "unit": "s"}],
    },
    {"name": "host", "read": "host", "kind": "connectivity", "required": False},
    {
        "name": "http",
        "service": ["http", "https", "http port *", "http [0-9]*", "http:*", "http /*", "web", "website"],
        "read": "state",
        "kind": "service",
        "required": False,
    },
    {
        "name": "http_time",
        "service": ["http", "https", "http port *", "http [0-9]*", "http:*", "http /*", "web", "website"],
        "label": "time",
        "unit": "s",
        "raise_at": 5.0,
        "clear_at": 2.0,
        "count": {"raise": 3, "of": 5},
        "kind": "service",
        "load": True,
        "required": False,
        "optional": True,
    },
    {
        "name": "keepalived",
        "service": ["keepalived", "keepalived *", "vrrp", "vrrp *"],
        "read": "state",
        "kind": "service",
        "vrrp": True,
        "required": False,
    },
]

#: Kubernetes replaces a pod that died by itself, in 16 s measured in the lab under load. What lasts longer than this,
#: it has not healed; a roll-out that is restarted before would only take away what it has just made.
KUBERNETES_SECONDS = 30

_BY_NAME = {gauge["name"]: gauge for gauge in DEFAULT_GAUGES}
#: What says that a workload of Kubernetes is ill: its pods, and what they serve. The autoscaler at its maximum is none.
WORKLOAD_GAUGES: List[Dict[str, Any]] = [
    {
        "name": "kubernetes",
        "service": ["kubernetes available", "kubernetes rollout", "kubernetes pending", "kubernetes restarts"],
        "read": "state",
        "for_seconds": KUBERNETES_SECONDS,
        "kind": "service",
        "required": False,
    },
    {**_BY_NAME["http"], "for_seconds": KUBERNETES_SECONDS},
    _BY_NAME["http_time"],
]
#: A machine of a cluster is watched as any other, and by what the cluster says of it.
CLUSTER_GAUGES: List[Dict[str, Any]] = [
    *DEFAULT_GAUGES,
    {"name": "kubernetes", "service": ["kubernetes node"], "read": "state", "kind": "service", "required": False},
]
