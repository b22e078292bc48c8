#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Called by mmdebstrap with the new root: everything off, nothing that two machines may not share.
set -eu
root=$1

# Only what is enabled here starts in a fresh machine; roles enable the rest, as on a real server.
printf 'enable ssh.service\ndisable *\n' >"$root/etc/systemd/system-preset/00-lab.preset" 2>/dev/null || {
    mkdir -p "$root/etc/systemd/system-preset"
    printf 'enable ssh.service\ndisable *\n' >"$root/etc/systemd/system-preset/00-lab.preset"
}
chroot "$root" systemctl preset-all 2>/dev/null
# Names that a machine container has no use for and that cost time at each boot.
for unit in systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service \
    getty.target console-getty.service systemd-logind.service systemd-firstboot.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    systemd-networkd-wait-online.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# fence_ipmilan and its library; the package would bring the clients of several clouds with it.
chroot "$root" sh -euc 'cd /tmp && apt-get -q -y download fence-agents && dpkg-deb -x fence-agents_*.deb fence && \
    install -m 0755 fence/usr/sbin/fence_ipmilan /usr/sbin/ && mkdir -p /usr/share/fence && \
    install -m 0644 fence/usr/share/fence/fencing.py /usr/share/fence/ && rm -rf fence fence-agents_*.deb'

rm -f "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root/etc/hostname" "$root/etc/resolv.conf"

mkdir -p "$root/etc/ssh/sshd_config.d" "$root/etc/systemd/journald.conf.d" "$root/var/log/journal"
printf 'PasswordAuthentication no\nMaxSessions 50\nMaxStartups 50\nUseDNS no\n' >"$root/etc/ssh/sshd_config.d/lab.conf"
# Kept over a reboot, because evidence looks there; small, because the disk is small.
printf '[Journal]\nStorage=persistent\nSystemMaxUse=32M\n' >"$root/etc/systemd/journald.conf.d/lab.conf"

# No manual is read on these machines.
rm -rf "$root/var/lib/apt/lists"/* "$root/var/cache/apt"/*.bin "$root/usr/share/man" "$root/usr/share/doc-base"
