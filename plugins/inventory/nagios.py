# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory out of a Nagios, for farms whose Nagios came first."""

from __future__ import annotations

DOCUMENTATION = r"""
name: nagios
short_description: Hosts, hostgroups and custom variables of a Nagios
version_added: 0.1.0
author:
  - selfheal.cluster contributors (@selfheal-cluster)
description:
  - Makes an inventory out of the JSON CGIs of Nagios Core 4. Hosts become hosts, hostgroups become groups.
  - Only three things of Nagios become connection variables, each only if it looks like what it has to be. The address
    becomes C(ansible_host), the custom variables C(_ANSIBLE_USER) and C(_ANSIBLE_PORT) become C(ansible_user) and
    C(ansible_port). Everything else becomes C(nagios_*) and is data, whatever it says.
  - Nagios flattens nested hostgroups, so that groups here have no children.
  - Role P(selfheal.cluster.nagios_server#role) is the other way round, and the better one for a new farm. On the
    way of a heal the cache of this plugin must not be used.
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Marks a file as configuration of this plugin.
    type: str
    required: true
    choices: [selfheal.cluster.nagios]
  url:
    description: Where the JSON CGIs of Nagios are, for example C(http://monitor/nagios4/cgi-bin).
    type: str
    required: true
    env:
      - name: SELFHEAL_NAGIOS_URL
  user:
    description: User for HTTP basic authentication; it must be allowed to see all hosts.
    type: str
    env:
      - name: SELFHEAL_NAGIOS_USER
  password:
    description: Password of O(user).
    type: str
    env:
      - name: SELFHEAL_NAGIOS_PASSWORD
  password_file:
    description: File with the password in its first line, instead of O(password).
    type: path
    env:
      - name: SELFHEAL_NAGIOS_PASSWORD_FILE
  timeout:
    description: Seconds to wait for each of the two answers.
    type: float
    default: 30
  validate_certs:
    description: Whether to check the certificate of an HTTPS server.
    type: bool
    default: true
  ca_path:
    description: File with the certificates of the authorities to trust, instead of those of the system.
    type: path
  use_proxy:
    description: Whether to honour the proxy variables of the environment.
    type: bool
    default: true
  hostgroups:
    description: Only the members of these hostgroups; empty means every host.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
# farm.nagios.yml
plugin: selfheal.cluster.nagios
url: https://monitor.example.com/nagios4/cgi-bin
user: selfheal
password_file: /etc/selfheal/nagios.password
hostgroups: [linux-servers]
keyed_groups:
  - key: nagios_custom_variables.SITE
    prefix: site
compose:
  selfheal_port: nagios_custom_variables.HTTP_PORT | int
groups:
  web: nagios_alias is search('web')
"""

import os
import re
from typing import Any, Optional

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_inventory import Farm, read_farm

FILE_NAMES = re.compile(r"(?:\A|\.)nagios\.ya?ml\Z")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]  # ansible has no types
    """What Ansible loads."""

    NAME = "selfheal.cluster.nagios"

    def verify_file(self, path: str) -> bool:
        """Only files named ``nagios.yml`` or ``*.nagios.yml``."""
        return bool(super().verify_file(path)) and FILE_NAMES.search(os.path.basename(path)) is not None

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill the inventory, from the cache if that is wanted and there."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        key = self.get_cache_key(path)
        wanted = bool(self.get_option("cache"))
        cached: Optional[dict[str, Any]] = None
        if wanted and cache:
            try:
                cached = self._cache[key]
            except KeyError:
                cached = None  # expired, or never there
        try:
            farm = Farm.from_cache(cached) if cached is not None else self._ask()
        except SelfhealError as exc:
            raise AnsibleParserError(f"Nagios' inventory ({exc.reason}): {exc.message}") from exc
        if wanted and cached is None:
            self._cache[key] = farm.to_cache()
        self._fill(farm)

    def _ask(self) -> Farm:
        password, file = self.get_option("password"), self.get_option("password_file")
        if file and password is None:
            try:
                with open(file, encoding="utf-8") as handle:
                    password = handle.readline().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as exc:
                raise SelfhealError("password_file", f"Cannot read {file}: {exc}") from exc
        client = NagiosClient(
            self.get_option("url"),
            self.get_option("user"),
            password,
            timeout=self.get_option("timeout"),
            validate_certs=self.get_option("validate_certs"),
            ca_path=self.get_option("ca_path"),
            use_proxy=self.get_option("use_proxy"),
        )
        return read_farm(client, self.get_option("hostgroups"))

    def _fill(self, farm: Farm) -> None:
        for line in farm.warnings:
            self.display.warning(line)
        strict = self.get_option("strict")
        groups = {name: self.inventory.add_group(self._sanitize_group_name(name)) for name in farm.groups}
        for host, variables in farm.hosts.items():
            self.inventory.add_host(host)
            for name, value in variables.items():
                self.inventory.set_variable(host, name, value)
        for name, members in farm.groups.items():
            for host in members:
                self.inventory.add_host(host, group=groups[name])
        for host, variables in farm.hosts.items():
            self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
            self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)
