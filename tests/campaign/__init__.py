# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The campaign: many heals under load on the lab, measured by the judge. `python -m tests.campaign`."""
