"""Writes the dashboards into a folder, one file each, named by its uid."""

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from manifests.dashboards.source import operators, policyservers, routers


def main(folder: str) -> None:
    """Writes all of them."""
    for builder in (policyservers.dashboard(), routers.dashboard(), operators.dashboard()):
        made = builder.build()
        text = JSONEncoder(indent=2, sort_keys=True).encode(made)
        (Path(folder) / f"{made.uid}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
