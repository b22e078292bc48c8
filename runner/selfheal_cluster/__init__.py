# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The command line of selfheal.cluster. It decides nothing: the playbooks and their modules do."""
