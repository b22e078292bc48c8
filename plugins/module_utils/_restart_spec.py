# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Arguments of ``node_restart``, for the module and its action plugin alike."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.selfheal.cluster.plugins.module_utils._health import ADDRESS, SCHEME, SCHEMES

WITNESS: Dict[str, Any] = {
    "balancer": {"type": "str", "required": True},
    "out": {"type": "bool", "required": True},
    "at": {"type": "float"},
    "age_seconds": {"type": "float"},
    "ends": {"type": "list", "elements": "str"},
    "since": {"type": "float"},
    "asked_seconds": {"type": "float"},
}
RELIEF: Dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "pattern": {"type": "str", "required": True},
    "older_seconds": {"type": "float", "required": True},
}
PARTITION: Dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "below": {"type": "float", "required": True},
}
ARGUMENTS: Dict[str, Any] = {
    "service": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["service", "reboot", "relief"], "default": "service"},
    "incident": {"type": "str", "required": True},
    "epoch": {"type": "int", "required": True},
    "since_epoch": {"type": "int", "default": 0},
    "resource": {"type": "str", "default": ""},
    "witnesses": {"type": "list", "elements": "dict", "default": [], "options": WITNESS},
    "witness_age_seconds": {"type": "float", "default": 30},
    "heard_uptime": {"type": "float"},
    "peers": {"type": "list", "elements": "str", "default": []},
    "left_sessions": {"type": "int", "default": 0},
    "port": {"type": "int", "default": 0},
    "vip": {"type": "str", "default": ""},
    "config_test": {"type": "list", "elements": "list", "default": []},
    "forbidden_machine_ids": {"type": "list", "elements": "str", "default": []},
    "machine_id": {"type": "str", "default": ""},
    "health_scheme": {"type": "str", "choices": [*SCHEMES], "default": SCHEME},
    "health_address": {"type": "str", "default": ADDRESS},
    "health_port": {"type": "int", "default": 0},
    "health_path": {"type": "str", "default": "/"},
    "stop_timeout": {"type": "float", "default": 10},
    "timeout": {"type": "float", "default": 60},
    "relief": {"type": "list", "elements": "dict", "default": [], "options": RELIEF},
    "partitions": {"type": "list", "elements": "dict", "default": [], "options": PARTITION},
    "state_dir": {"type": "path", "default": "/var/lib/selfheal"},
}
