"""How much processor and memory a pod asks for, as Kubernetes writes it."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from policy_server.config import ConfigModel

QUANTITY = r"^(\d+(\.\d*)?|\.\d+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
"""The quantities that make sense here (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity)."""


def _quantity(value: object) -> str:
    text = str(value) if type(value) in (int, str) else ""
    if re.match(QUANTITY, text) is None:
        raise ValueError('write a quantity, such as 2, "500m" or "256Mi"')
    return text


Quantity = Annotated[
    str,
    BeforeValidator(_quantity),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": QUANTITY}),
]


class Amounts(ConfigModel):
    """An amount of processor and memory."""

    cpu: Quantity | None = None
    """Cores: 2, or "500m" for half a core."""
    memory: Quantity | None = None
    """Bytes, as in "256Mi"."""

    def written(self) -> dict[str, Any]:
        """What is given, as Kubernetes has it."""
        return self.model_dump(exclude_none=True)


class Resources(ConfigModel):
    """What each serving container asks for and may use."""

    requests: Amounts | None = None
    """What the scheduler sets aside; without it, 100m of cpu and 128Mi of memory."""
    limits: Amounts | None = None
    """What it may use at most. A process serves for each whole core of the cpu limit; without a limit, one does, which
    takes about 100 MiB of memory."""
