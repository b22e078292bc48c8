# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""`make demo`: three illnesses in front of the viewer, each seen by Nagios and healed by the one command."""
