"""A policy under a router."""

from dataclasses import dataclass, field
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Arm:
    """One policy that a router may choose.

    Attributes:
        name: the policy's.
        digest: its model's; what was learned of another model isn't this arm's.
        tag: names both in ids and in the store, in four bytes: whatever order the arms are in, and wherever else an
            older model still answers, a reward goes to the model that earned it.
    """

    name: str
    digest: str
    tag: int = field(init=False)

    def __post_init__(self) -> None:
        digest = sha256(f"{self.name}\0{self.digest}".encode()).digest()
        object.__setattr__(self, "tag", int.from_bytes(digest[:4]) or 1)
