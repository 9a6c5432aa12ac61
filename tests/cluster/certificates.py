"""The cluster's keys and certificates, made by openssl, thrown away with the cluster.

What is in its folder already is not made again: other processes go on with a cluster's keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.cluster.processes import run

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_DAYS = "30"


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority(Certificate):
    """A certificate that signs others, into the folder it is in."""

    @classmethod
    def create(cls, folder: Path, name: str) -> Authority:
        """A self-signed authority."""
        made = cls(folder / f"{name}.crt", folder / f"{name}.key")
        if made.certificate.exists():
            return made
        run(
            "openssl", "req", "-x509", *_NEW_KEY, "-days", _DAYS, "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", made.key, "-out", made.certificate,
        )  # fmt: skip
        return made

    def client(self, user: str, groups: Sequence[str] = ()) -> Certificate:
        """A certificate by which the API server knows a user and their groups."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        return self._issue(user.replace(":", "-"), subject, "extendedKeyUsage=clientAuth")

    def server(self, name: str, subject: str, addresses: Sequence[str]) -> Certificate:
        """A certificate for a server that is reached by these names and IP addresses."""
        kinds = (f"{'IP' if a[0].isdigit() else 'DNS'}:{a}" for a in addresses)
        uses = f"extendedKeyUsage=serverAuth\nsubjectAltName={','.join(kinds)}"
        return self._issue(name, subject, uses)

    def _issue(self, name: str, subject: str, extensions: str) -> Certificate:
        folder = self.certificate.parent
        made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
        if made.certificate.exists():
            return made
        request, wanted = folder / f"{name}.csr", folder / f"{name}.ext"
        common = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        wanted.write_text(f"{common}{extensions}\n")
        run("openssl", "req", *_NEW_KEY, "-subj", subject, "-keyout", made.key, "-out", request)
        run(
            "openssl", "x509", "-req", "-in", request, "-days", _DAYS, "-CAcreateserial",
            "-CA", self.certificate, "-CAkey", self.key, "-extfile", wanted,
            "-out", made.certificate,
        )  # fmt: skip
        return made


@dataclass(frozen=True)
class Keys:
    """All that a control plane needs to trust and be trusted."""

    folder: Path
    api_addresses: Sequence[str]
    """Names and IP addresses by which clients reach the API server."""

    @cached_property
    def authority(self) -> Authority:
        """Signs every user and server of the cluster."""
        return Authority.create(self.folder, "kubernetes")

    @cached_property
    def front_proxy(self) -> Authority:
        """Signs what the API server shows to the API servers behind it."""
        return Authority.create(self.folder, "front-proxy")

    @cached_property
    def front_proxy_client(self) -> Certificate:
        """What the API server shows to the API servers behind it."""
        return self.front_proxy.client("front-proxy-client")

    @cached_property
    def api_server(self) -> Certificate:
        """What the API server shows to its clients."""
        return self.authority.server("api-server", "/CN=kube-apiserver", self.api_addresses)

    @cached_property
    def kubelet_client(self) -> Certificate:
        """What the API server shows to kubelets."""
        return self.authority.client("kube-apiserver-kubelet-client", ["system:masters"])

    @cached_property
    def service_accounts(self) -> Path:
        """The private key that signs service account tokens; it also verifies them."""
        key = self.folder / "service-accounts.key"
        if not key.exists():
            run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        return key
