"""Kubeconfig files: how a user reaches the API server."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.certificates import Authority


def write(
    path: Path,
    server: str,
    authority: Authority,
    user: str,
    groups: Sequence[str] = (),
) -> Path:
    """Writes a kubeconfig for a user with a certificate of their own; returns its path."""
    certificate = authority.client(user, groups)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "policyserver",
        "clusters": [
            {
                "name": "policyserver",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _inline(authority.certificate),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _inline(certificate.certificate),
                    "client-key-data": _inline(certificate.key),
                },
            }
        ],
        "contexts": [
            {
                "name": "policyserver",
                "context": {"cluster": "policyserver", "user": user},
            },
        ],
    }
    # JSON is YAML. Another process may wait for the file: it must never see half of it.
    draft = path.with_suffix(".tmp")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(config, indent=2))
    draft.replace(path)
    return path


def _inline(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
