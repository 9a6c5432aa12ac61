"""Every version this cluster is made of, and where each program's source lives.

Nothing else in the package names a version: to upgrade the cluster, edit this file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "1.36.3"
PYTHON = "3.11"
DEBIAN = "bookworm"
GO = (1, 26)
GATEWAY_API = "sigs.k8s.io/gateway-api@v1.4.0"
"""What Traefik's release was made for."""

PROGRAMS = Path(__file__).parent / "programs"

# What is needed of the machine besides Go: the package as apt knows it, and a file that proves it
# is there.
FOR_CERTIFICATES = {"openssl": "/usr/bin/openssl"}
FOR_C = {
    "gcc": "/usr/bin/gcc",
    "pkg-config": "/usr/bin/pkg-config",
    "libc6-dev": "/usr/include/stdlib.h",
    "libseccomp-dev": "/usr/include/seccomp.h",
}
FOR_IMAGES = {"buildah": "/usr/bin/buildah", "debootstrap": "/usr/sbin/debootstrap"}
FOR_NETWORK = {
    "iproute2": "/sbin/ip",
    "nftables": "/usr/sbin/nft",
    "iptables": "/usr/sbin/iptables",
    "conntrack": "/usr/sbin/conntrack",
}
DEBIAN_PACKAGES = FOR_CERTIFICATES | FOR_C | FOR_IMAGES | FOR_NETWORK
# Not of the cluster: the Redis of the routers' tests. This is the server, which goes by the name it
# is called by; the package redis-server only adds a link, and a service that would run from now on.
FOR_STORE = {"redis-tools": "/usr/bin/redis-check-rdb"}
# Nor these: the browser of the page's tests, and what Selenium drives it with.
FOR_PAGE = {"chromium": "/usr/bin/chromium", "chromium-driver": "/usr/bin/chromedriver"}
# Nor these: what the SDKs' tests build and run them with, 300 MB.
_R_LIBRARY = "/usr/lib/R/site-library"
FOR_CLIENTS = {
    "default-jdk-headless": "/usr/bin/javac",
    "maven": "/usr/bin/mvn",
    "nodejs": "/usr/bin/node",
    "npm": "/usr/bin/npm",
    "r-base-core": "/usr/bin/Rscript",
    "r-cran-base64enc": f"{_R_LIBRARY}/base64enc",
    "r-cran-httr": f"{_R_LIBRARY}/httr",
    "r-cran-jsonlite": f"{_R_LIBRARY}/jsonlite",
    "r-cran-r6": f"{_R_LIBRARY}/R6",
    "r-cran-stringr": f"{_R_LIBRARY}/stringr",
}


@dataclass(frozen=True)
class Module:
    """One Go module, and the programs that are built from it."""

    name: str
    path: str
    """Import path of the module; empty for a program whose source is in `programs/`."""
    version: str
    programs: tuple[str, ...]
    """Package of each program, relative to the module; its last part names the binary."""
    ldflags: str = ""
    tags: str = ""
    cgo: bool = False
    replace: tuple[str, ...] = ()
    """A dependency's own `replace` lines do not reach us, so the ones it needs are said again."""
    stub: tuple[str, str] | None = None
    """A module@version that is built from a copy with one file replaced, and that file's path."""

    @property
    def source(self) -> Path:
        """Files of ours that this module is built with; the folder need not exist."""
        return PROGRAMS / self.name

    @property
    def binaries(self) -> dict[str, str]:
        """Import path of the main package for every binary."""
        found = {}
        for program in self.programs:
            package = f"{self.path}/{program}".rstrip("/")
            found[self.name if program in ("", ".") else package.rsplit("/", 1)[1]] = package
        return found

    @property
    def digest(self) -> str:
        """Changes when anything changes that the binaries are made from."""
        content = hashlib.sha256(repr(self).encode())
        for file in sorted(self.source.glob("*")):
            content.update(file.name.encode() + file.read_bytes())
        return content.hexdigest()[:12]


def _kubernetes_version_flags() -> str:
    major, minor, _ = KUBERNETES.split(".")
    told = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {p}.{name}={value}" for p in packages for name, value in told.items())


_CONTAINERD = "github.com/containerd/containerd/v2"
_CNI = "github.com/containernetworking/plugins"
_TRAEFIK = "github.com/traefik/traefik/v3"
_FORKS = "github.com/containous"
_HTTP_AUTH = "v0.4.1-0.20200324110947-a37a7636d23e"
_HELM = "helm.sh/helm/v3"
_PROMETHEUS = "github.com/prometheus/prometheus"
_PROMETHEUS_COMMON = "github.com/prometheus/common"

# In the order they are built: what integration tests wait for comes first, helm last.
MODULES = (
    Module("etcd", "go.etcd.io/etcd/server/v3", "v3.7.3", ("",)),
    Module(
        "kubernetes",
        "k8s.io/kubernetes",
        f"v{KUBERNETES}",
        (
            "cmd/kube-apiserver",
            "cmd/kube-controller-manager",
            "cmd/kubectl",
            "cmd/kube-scheduler",
            "cmd/kubelet",
            "cmd/kube-proxy",
        ),
        ldflags=_kubernetes_version_flags(),
    ),
    # Where models come from: S3 with signatures that are checked, and Google's storage.
    Module("versitygw", "github.com/versity/versitygw", "v1.8.0", ("cmd/versitygw",)),
    Module("fake-gcs-server", "github.com/fsouza/fake-gcs-server", "v1.56.1", ("",)),
    # 3.5, which is maintained for long. Debian's finds no targets in Kubernetes; ours finds them
    # there alone, without the SDKs of twenty clouds.
    Module(
        "prometheus",
        _PROMETHEUS,
        "v0.305.0",
        ("cmd/prometheus", "cmd/promtool"),
        ldflags=f"-X {_PROMETHEUS_COMMON}/version.Version=3.5.0",
        stub=(f"{_PROMETHEUS}@v0.305.0", "plugins/plugins.go"),
    ),
    # A main package of ours around prometheus-operator's own generator.
    Module(
        "scrape-configuration",
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        (".",),
    ),
    Module(
        "containerd",
        _CONTAINERD,
        "v2.4.2",
        ("cmd/containerd", "cmd/containerd-shim-runc-v2", "cmd/ctr"),
        ldflags=" ".join(
            f"-X {_CONTAINERD}/version.{name}={value}"
            for name, value in {"Version": "v2.4.2", "Package": _CONTAINERD}.items()
        ),
        tags="no_btrfs no_zfs no_devmapper no_aufs",
    ),
    Module(
        "runc",
        "github.com/opencontainers/runc",
        "v1.5.2",
        ("",),
        ldflags="-X main.version=1.5.2",
        tags="seccomp",
        cgo=True,
    ),
    Module(
        "cni",
        _CNI,
        "v1.9.1",
        (
            "plugins/main/bridge",
            "plugins/main/loopback",
            "plugins/ipam/host-local",
            "plugins/meta/portmap",
        ),
        ldflags=f"-X {_CNI}/pkg/utils/buildversion.BuildVersion=v1.9.1",
    ),
    Module("pause", "", "1", (".",)),
    # A main package of ours with the few plugins a cluster needs: the stock one brings the SDKs of
    # three clouds and takes five times as long.
    Module("coredns", "github.com/coredns/coredns", "v1.15.0", (".",)),
    # 3.6.12 is the newest release whose whole dependency list the module proxies serve; it is
    # built without the ACME DNS providers, which are two thirds of its code.
    Module(
        "traefik",
        _TRAEFIK,
        "v3.6.12",
        ("cmd/traefik",),
        ldflags=f"-X {_TRAEFIK}/pkg/version.Version=v3.6.12",
        replace=(
            f"github.com/abbot/go-http-auth={_FORKS}/go-http-auth@{_HTTP_AUTH}",
            f"github.com/gorilla/mux={_FORKS}/mux@v0.0.0-20250523120546-41b6ec3aed59",
            f"github.com/mailgun/minheap={_FORKS}/minheap@v0.0.0-20190809180810-6e71eb837595",
        ),
        stub=(
            "github.com/go-acme/lego/v4@v4.33.0",
            "providers/dns/zz_gen_dns_providers.go",
        ),
    ),
    Module(
        "helm",
        _HELM,
        "v3.22.0",
        ("cmd/helm",),
        ldflags=f"-X {_HELM}/internal/version.version=v3.22.0",
    ),
)

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
"""What integration tests need."""

OBJECT_STORES = ("versitygw", "fake-gcs-server")
"""What integration tests fetch models from."""

MONITORING = ("prometheus", "promtool", "scrape-configuration")
"""What scrapes in integration tests, as our ServiceMonitors say."""

CNI_PLUGINS = ("bridge", "loopback", "host-local", "portmap")

NODE = (
    *CONTROL_PLANE,
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
    *CNI_PLUGINS,
    "pause",
    "coredns",
    "traefik",
)
"""What a node with pods, DNS and ingress needs."""

ALL = (*NODE, *OBJECT_STORES, *MONITORING, "helm")
