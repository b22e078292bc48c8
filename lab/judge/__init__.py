# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The judge: says from outside what clients felt. Shares no code with anything that heals."""
