# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real Nagios per test module, with three services on two hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient
from tests.integration.nagios_fixture import (
    PASSWORD,
    USER,
    RealNagios,
    host_object,
    hostgroup_object,
    service_object,
)

OBJECTS = (
    host_object("web1", "10.0.0.1", contacts="limited", _ANSIBLE_USER="ops", _ANSIBLE_PORT="2222", _SITE="dc1")
    + host_object("db1", "10.0.0.2", parents="web1", _ANSIBLE_SSH_COMMON_ARGS="-o ProxyCommand=id", _ANSIBLE_USER="-l")
    + service_object("web1", "memory")
    + service_object("web1", "disk /")
    + service_object("db1", "memory")
    + hostgroup_object("web", ["web1"])
    + hostgroup_object("farm", ["web1", "db1"])
)


@pytest.fixture
def nagios() -> Iterator[RealNagios]:
    """A running Nagios."""
    with RealNagios(OBJECTS) as running:
        yield running


def client(nagios: RealNagios, user: str = USER, password: str = PASSWORD, **options: Any) -> NagiosClient:
    """Our client for it, with the transport that modules use."""
    return NagiosClient(nagios.url, user, password, status_update_interval=1, use_proxy=False, **options)
