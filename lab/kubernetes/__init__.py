# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real Kubernetes out of machines of the lab: one control plane, two workers."""
