#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Called by LXC when a machine's cable is there, also after a reboot: plug it into the bridge of its lab.
# LXC could do that itself, but looks for the bridge in /sys, which does not follow a network namespace.
# Arguments: container (LAB-NODE), section, direction, type, host's end of the cable.
set -eu
exec ip link set "$5" master "${1%%-*}0" up
