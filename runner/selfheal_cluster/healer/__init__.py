# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer: takes alerts in, reads Nagios, starts one run per incident, and tells what came of it.

It decides nothing: ``_dispatch`` says what to do next, and each run plans for itself on live truth.
"""
