"""How much processor and memory a pod asks for, as Kubernetes writes it."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from policy_server.config import ConfigModel

CPU = r"^(\d+m|\d+(\.\d*)?|\.\d+)$"
MEMORY = r"^(\d+(\.\d*)?|\.\d+)(k|M|G|T|Ki|Mi|Gi|Ti)?$"
"""The quantities that make sense here (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity)."""


def _matching(pattern: str, examples: str) -> BeforeValidator:
    def written(value: object) -> str:
        text = str(value) if type(value) in (int, str) else ""
        if re.fullmatch(pattern, text, re.ASCII) is None:
            raise ValueError(f"write {examples}")
        return text

    return BeforeValidator(written)


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": pattern})


Cpu = Annotated[str, _matching(CPU, 'cores, such as 2 or "500m"'), _schema(CPU)]
Memory = Annotated[str, _matching(MEMORY, 'bytes, such as "256Mi"'), _schema(MEMORY)]


class Amounts(ConfigModel):
    """An amount of processor and memory."""

    cpu: Cpu | None = None
    """Cores: 2, or "500m" for half a core."""
    memory: Memory | None = None
    """Bytes, as in "256Mi"."""

    def written(self) -> dict[str, Any]:
        """What is given, as Kubernetes has it."""
        return self.model_dump(exclude_none=True)


class Resources(ConfigModel):
    """What each serving container asks for and may use."""

    requests: Amounts | None = None
    """What the scheduler sets aside. Without it, that is what limits say, or else 100m of cpu and 128Mi of memory, more
    where several processes serve; with engine RayServe 1 of cpu and 1536Mi."""
    limits: Amounts | None = None
    """What it may use at most. A process serves for each whole core of the cpu limit; without a limit, one does, which
    takes about 100 MiB of memory. With engine RayServe, scaling says how many there are."""

    @property
    def processes(self) -> int:
        """How many processes serve: Python uses one core in each."""
        cpu = self.limits.cpu if self.limits else None
        if cpu is None:
            return 1
        return max(1, int(cpu[:-1]) // 1000 if cpu.endswith("m") else int(float(cpu)))
