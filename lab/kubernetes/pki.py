# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The cluster's certificates, made for one lab: an authority, one certificate per part, kubeconfigs that name them."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.kubernetes import names
from lab.kubernetes.names import Cluster

DAYS = 365
_ADMINS = "system:masters"
#: File, common name, organization of those who only log in.
CLIENTS = (
    ("admin", "admin", _ADMINS),
    ("kubelet-client", "kube-apiserver-kubelet-client", _ADMINS),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
)
Key = ec.EllipticCurvePrivateKey


def _pem(key: Key | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_bytes(content)


class Authority:
    """One authority that signs."""

    def __init__(self, folder: Path, name: str, common_name: str) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        made = self._builder(self.name, self.key).add_extension(x509.BasicConstraints(True, None), critical=True)
        self._store(name, self.key, made.add_extension(usage, critical=True))

    def _builder(self, subject: x509.Name, key: Key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=DAYS))
        )

    def _store(self, name: str, key: Key, made: x509.CertificateBuilder) -> None:
        certificate = made.sign(self.key, hashes.SHA256())
        _write(self.folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        _write(self.folder / f"{name}.key", _pem(key), 0o600)

    def sign(self, name: str, common_name: str, organization: str = "", alternatives: Sequence[str] = ()) -> None:
        """Write NAME.crt and NAME.key, good as a client and, with alternative names, as a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        made = self._builder(x509.Name(subject), key)
        made = made.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        if alternatives:
            made = made.add_extension(x509.SubjectAlternativeName([_alternative(it) for it in alternatives]), False)
        self._store(name, key, made)


def _alternative(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def kubeconfig(server: str, authority: str, certificate: str, key: str) -> str:
    """A kubeconfig that names files of the machine on which it is used."""
    return _config(
        {"server": server, "certificate-authority": authority},
        {"client-certificate": certificate, "client-key": key},
    )


def _config(cluster: dict[str, str], user: dict[str, str]) -> str:
    text: str = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "lab", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            "current-context": "lab",
        },
        sort_keys=False,
    )
    return text


def embedded(folder: Path, server: str, name: str = "admin") -> str:
    """A kubeconfig that carries its certificates, for use from anywhere."""

    def inside(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    return _config(
        {"server": server, "certificate-authority-data": inside("ca.crt")},
        {"client-certificate-data": inside(f"{name}.crt"), "client-key-data": inside(f"{name}.key")},
    )


def ensure(folder: Path, cluster: Cluster) -> bool:
    """All certificates of a cluster, made anew when its machines are others; true when they are new."""
    mark, wanted = folder / "made-for.json", json.dumps([cluster.control_plane, dict(cluster.addresses)])
    if mark.exists() and mark.read_text() == wanted:
        return False
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark.unlink(missing_ok=True)
    authority = Authority(folder, "ca", "kube-ca")
    api = cluster.addresses[cluster.control_plane]
    services = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    authority.sign("apiserver", "kube-apiserver", "", ["localhost", *services, "127.0.0.1", names.API_SERVICE, api])
    for name, common_name, organization in CLIENTS:
        authority.sign(name, common_name, organization)
    for node, address in cluster.addresses.items():  # one certificate is kubelet's as a client and as a server
        authority.sign(f"kubelet-{node}", f"system:node:{node}", "system:nodes", [node, "127.0.0.1", address])
    # What the integrator shows on the nodes' ports.
    authority.sign("ei", "ei", "", ["ei", "localhost", "127.0.0.1", *cluster.addresses.values()])
    Authority(folder, "front-proxy-ca", "front-proxy-ca").sign("front-proxy", "front-proxy-client")
    tokens = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write(folder / "service-accounts.key", _pem(tokens), 0o600)
    public = tokens.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(folder / "service-accounts.pub", public, 0o644)
    mark.write_text(wanted)
    return True
