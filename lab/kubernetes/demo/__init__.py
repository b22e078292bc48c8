# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""`make demo-kubernetes`: rolled out, scaled by load, and healed where Kubernetes itself does not heal."""
