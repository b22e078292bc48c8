# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by lab/up, lab/down and lab/clean-cache with $here set: which Ansible, which lab.
lab_playbook=${ANSIBLE_PLAYBOOK:-}
if [ -z "$lab_playbook" ]; then
    lab_playbook=$here/../.venv/bin/ansible-playbook
    [ -x "$lab_playbook" ] || lab_playbook=ansible-playbook
fi
lab_python=${LAB_PYTHON:-/usr/bin/python3}
LAB_NAME=${LAB_NAME:-shlab}
lab_state=/var/lib/selfheal-lab
[ "$LAB_NAME" = shlab ] || lab_state=/var/lib/selfheal-lab-$LAB_NAME
export LAB_NAME ANSIBLE_CONFIG="$here/ansible.cfg"
