"""Whether an object is as it should be, without writing it to see.

Server-side apply would tell too, but only by a request for each object each time.
"""

import hashlib
import json
from typing import Any

from policy_operator.desired.metadata import Object

APPLIED = "policyserver.io/applied"
"""Annotation of a child: the hash of all that was applied. It differs when a field was applied that no longer is."""


def signed(desired: Object) -> Object:
    """The object with its hash."""
    digest = hashlib.sha256(json.dumps(desired, sort_keys=True).encode()).hexdigest()[:16]
    metadata = desired["metadata"]
    annotations = metadata.get("annotations", {}) | {APPLIED: digest}
    return desired | {"metadata": metadata | {"annotations": annotations}}


def is_as(wanted: Object, live: Object) -> bool:
    """Whether a live object is as a signed one wants it."""
    return difference(wanted, live) is None


def difference(desired: Any, live: Any, path: str = "") -> str | None:
    """The first place where something desired isn't so; what else there is belongs to others and doesn't count."""
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return path
        places = ((f"{path}.{name}" if path else name, value, live.get(name)) for name, value in desired.items())
        return next((found for place, value, other in places if (found := difference(value, other, place))), None)
    if isinstance(desired, list):
        if not isinstance(live, list):
            return path
        if all(isinstance(item, dict) and "name" in item for item in desired):
            # Others may add items of their own, such as a sidecar.
            named = {item.get("name"): item for item in live if isinstance(item, dict)}
            pairs = [(f"{path}[{item['name']}]", item, named.get(item["name"])) for item in desired]
        elif len(desired) != len(live):
            return path
        else:
            pairs = [(f"{path}[{index}]", item, live[index]) for index, item in enumerate(desired)]
        return next((found for place, value, other in pairs if (found := difference(value, other, place))), None)
    return None if desired == live else path
