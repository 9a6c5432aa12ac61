"""The command lines of the control plane, the same for integration tests and for the node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.certificates import Keys

DOMAIN = "cluster.local"
AUDIT_POLICY = Path(__file__).parent / "configuration" / "audit.yaml"


@dataclass(frozen=True)
class Components:
    """Where the parts of a control plane listen, and what they share."""

    programs: Path
    state: Path
    keys: Keys
    bind: str
    address: str
    """Where others reach the API server."""
    port: int
    etcd_port: int
    peer_port: int
    service_range: str
    pod_range: str
    advertised: bool
    """Whether the API server is the Service `kubernetes`; a loopback address can't be."""
    audit_log: Path | None = None
    audit_policy: Path = AUDIT_POLICY

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self.port}"

    def etcd(self) -> list[str]:
        """Keeps its data in files, but does not wait for the disk: it won't outlive a crash."""
        client = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{self.peer_port}"
        return [
            f"{self.programs}/etcd",
            "--name=etcd",
            f"--data-dir={self.state}/etcd",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=etcd={peer}",
        ]

    def api_server(self) -> list[str]:
        """With RBAC, and the admission plugins that are on by default (Pod Security is one)."""
        keys = self.keys
        return [
            f"{self.programs}/kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={self.bind}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--endpoint-reconciler-type={'lease' if self.advertised else 'none'}",
            f"--service-cluster-ip-range={self.service_range}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--anonymous-auth=false",
            "--allow-privileged=true",
            f"--client-ca-file={keys.authority.certificate}",
            f"--tls-cert-file={keys.api_server.certificate}",
            f"--tls-private-key-file={keys.api_server.key}",
            f"--kubelet-certificate-authority={keys.authority.certificate}",
            f"--kubelet-client-certificate={keys.kubelet_client.certificate}",
            f"--kubelet-client-key={keys.kubelet_client.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-key-file={keys.service_accounts}",
            f"--service-account-signing-key-file={keys.service_accounts}",
            f"--requestheader-client-ca-file={keys.front_proxy.certificate}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={keys.front_proxy_client.certificate}",
            f"--proxy-client-key-file={keys.front_proxy_client.key}",
            *self._audit(),
        ]

    def _audit(self) -> list[str]:
        if self.audit_log is None:
            return []
        # Blocking: a request is in the log before its caller has the answer, so tests can count.
        return [
            f"--audit-policy-file={self.audit_policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking",
        ]

    def controller_manager(self, kubeconfig: Path) -> list[str]:
        """Alone, so it elects no leader; nobody asks it anything, so it listens nowhere."""
        authority = self.keys.authority
        return [
            f"{self.programs}/kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            "--secure-port=0",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--root-ca-file={authority.certificate}",
            f"--service-account-private-key-file={self.keys.service_accounts}",
            f"--cluster-signing-cert-file={authority.certificate}",
            f"--cluster-signing-key-file={authority.key}",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={self.pod_range}",
            "--node-cidr-mask-size=24",
            f"--service-cluster-ip-range={self.service_range}",
        ]
