# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Documentation that all modules which ask Nagios share."""

from __future__ import annotations


class ModuleDocFragment:
    """The parameters of ``module_utils/_nagios_module.py``."""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - Where the JSON CGIs of Nagios are, for example C(http://monitor/nagios4/cgi-bin).
      - Redirects are not followed, so that the password goes nowhere else.
      - If not set, the environment variable E(SELFHEAL_NAGIOS_URL) is used.
    type: str
    required: true
  user:
    description:
      - User for HTTP basic authentication.
      - Nagios shows this user nothing, without an error, unless C(cgi.cfg) lists it in
        C(authorized_for_all_hosts) and C(authorized_for_all_services).
      - If not set, the environment variable E(SELFHEAL_NAGIOS_USER) is used.
    type: str
  password:
    description:
      - Password of O(user).
      - If not set, the environment variable E(SELFHEAL_NAGIOS_PASSWORD) is used.
    type: str
  password_file:
    description:
      - File with the password in its first line, on the machine where the module runs.
      - If not set, the environment variable E(SELFHEAL_NAGIOS_PASSWORD_FILE) is used.
    type: path
  timeout:
    description: Seconds to wait for each answer. Nagios with 20,000 services needs up to 6.
    type: float
    default: 10
  validate_certs:
    description: Whether to check the certificate of an HTTPS server. Never switch this off outside of tests.
    type: bool
    default: true
  ca_path:
    description: File with the certificates of the authorities to trust, instead of those of the system.
    type: path
  use_proxy:
    description: Whether to honour the proxy variables of the environment.
    type: bool
    default: true
  status_update_interval:
    description:
      - How often Nagios writes its status, in seconds; data older than three times this are stale.
      - If not set, it is read from C(/etc/nagios4/nagios.cfg) where the module runs, else Nagios' default of 10 counts.
    type: float
"""
