# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a machine of the lab needs beyond the others to be a node of a cluster: LXC's lines, and files in its root.

Everything is written before the machine starts, so that it comes up as a node by itself, also after a reboot.
"""

from __future__ import annotations

import shutil
import string
from pathlib import Path

from lab.kubernetes import names, pki
from lab.kubernetes.names import Cluster
from lab.machines import Lab, run

#: kubelet sets these, and the host's are not its to set: it gets files of its own in their places.
FAKE_SYSCTLS = {"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"}
#: On the machine's own disk, beside its overlay: an overlay over an overlay does not work.
OWN_FOLDERS = {"containerd": "var/lib/containerd", "kubelet": "var/lib/kubelet"}
EVERY_NODE = ("containerd", "lab-images", "pod-routes", "kubelet", "kube-proxy")
#: What the control plane's programs prove themselves with, and sign with.
SERVERS = ("apiserver", "ca", "front-proxy", "front-proxy-ca", "kubelet-client", "service-accounts")
#: The autoscaler looks more often than Kubernetes has it (15 s), so that nobody has to wait long.
QUICK_AUTOSCALER = (
    "HPA_FLAGS=--horizontal-pod-autoscaler-sync-period=5s --horizontal-pod-autoscaler-initial-readiness-delay=10s"
    " --horizontal-pod-autoscaler-cpu-initialization-period=10s\n"
)
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def pki_folder(lab: Lab) -> Path:
    """Where a lab keeps the certificates of its cluster."""
    return lab.state / "kubernetes"


def lxc_lines(lab: Lab, node: str) -> list[str]:
    """LXC's configuration for kubelet, containerd and runc; an ordinary node must not get these."""
    folder = lab.machine_dir(node)
    fakes = [
        f"lxc.mount.entry = {folder}/sysctl/{path.replace('/', '.')} proc/sys/{path} none bind 0 0"
        for path in FAKE_SYSCTLS
    ]
    own = [
        f"lxc.mount.entry = {folder}/disk/{name} {path} none bind,create=dir 0 0" for name, path in OWN_FOLDERS.items()
    ]
    return [
        "lxc.cgroup.devices.allow = a",
        "lxc.cgroup2.devices.allow = a",
        "lxc.mount.auto =",  # an empty value forgets what was said before
        "lxc.mount.auto = proc:mixed sys:mixed cgroup-full:rw:force",
        "lxc.mount.entry = /dev/null dev/kmsg none bind,create=file 0 0",
        *own,
        *fakes,
    ]


def lay_out(lab: Lab, node: str, root: Path, cluster: Cluster) -> None:
    """Write into a new machine's root what makes it a node of the cluster."""
    folder = lab.machine_dir(node)
    (folder / "sysctl").mkdir()
    for path, value in FAKE_SYSCTLS.items():
        (folder / "sysctl" / path.replace("/", ".")).write_text(f"{value}\n")
    for name in OWN_FOLDERS:
        (folder / "disk" / name).mkdir()
    _configure(root, node, cluster)
    _certify(lab, root, node, cluster)
    units = EVERY_NODE + (CONTROL_PLANE if node == cluster.control_plane else ())
    run(["systemctl", f"--root={root}", "enable", "--quiet", *(f"{unit}.service" for unit in units)])


def _configure(root: Path, node: str, cluster: Cluster) -> None:
    address = cluster.addresses[node]
    head = node == cluster.control_plane
    values = {
        "node": node,
        "address": address,
        "api_address": cluster.addresses[cluster.control_plane],
        "pods": names.pod_range(address),
        "machines": f"{address.rsplit('.', 1)[0]}.0/24",
        "services": names.SERVICES,
        "pki": names.PKI,
        "pause_image": names.PAUSE_IMAGE,
        # From its first moment: what is rolled out while nodes still register is not to land on the control plane.
        "taints": "[{key: node-role.kubernetes.io/control-plane, effect: NoSchedule}]" if head else "[]",
    }
    targets = {
        "cni.conflist.in": "etc/cni/net.d/10-lab.conflist",
        "containerd.toml.in": "etc/containerd/config.toml",
        "kubelet.yaml.in": "etc/kubernetes/kubelet.yaml",
        "proxy.yaml.in": "etc/kubernetes/proxy.yaml",
    }
    wanted = EVERY_NODE[1:] + (CONTROL_PLANE if head else ())
    targets |= {f"units/{unit}.service.in": f"etc/systemd/system/{unit}.service" for unit in wanted}
    for source, target in targets.items():
        put(root / target, string.Template((names.FILES / source).read_text()).substitute(values), 0o644)
    others = [it for it in cluster.addresses.values() if it != address]
    put(root / "etc/kubernetes/pod-routes", "".join(f"{names.pod_range(it)}.0/24 {it}\n" for it in others), 0o644)
    hosts = "".join(f"{it} {name}\n" for name, it in cluster.addresses.items())
    if head:
        put(root / "etc/kubernetes/autoscaler.env", QUICK_AUTOSCALER, 0o644)
    put(root / "etc/hosts", f"127.0.0.1 localhost\n{hosts}", 0o644)


def _certify(lab: Lab, root: Path, node: str, cluster: Cluster) -> None:
    source, target = pki_folder(lab), root / names.PKI.lstrip("/")
    target.mkdir(parents=True, exist_ok=True, mode=0o755)
    parts = {"kubelet": f"kubelet-{node}", "proxy": "proxy"}
    if node == cluster.control_plane:
        parts |= {"controller-manager": "controller-manager", "scheduler": "scheduler"}
        for name in SERVERS:
            for path in source.glob(f"{name}.*"):
                shutil.copy(path, target)
    shutil.copy(source / "ca.crt", target)
    for part, name in parts.items():
        for ending in ("crt", "key"):
            shutil.copy(source / f"{name}.{ending}", target / f"{part}.{ending}")
        config = pki.kubeconfig(
            cluster.api, f"{names.PKI}/ca.crt", f"{names.PKI}/{part}.crt", f"{names.PKI}/{part}.key"
        )
        put(root / f"etc/kubernetes/{part}.conf", config, 0o600)


def put(path: Path, text: str, mode: int) -> None:
    """A file with this mode from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(text)
