"""The kinds of distribution that a bundle can have: how a model's numbers are to be understood as an action."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from policy_server.config import ConfigModel

_LARGEST = float.fromhex("0x1.fffffep+127")  # of float32, which protocols carry
Bound = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]


class _OneChoice(ConfigModel):
    """One discrete action out of `size`, of which each has a number."""

    kind: str
    size: Annotated[int, Field(ge=1)]

    @property
    def parameters(self) -> int:
        """How many numbers the model gives."""
        return self.size

    @property
    def components(self) -> int:
        """How many numbers an action has."""
        return 1

    @property
    def continuous(self) -> bool:
        """Whether actions are real numbers."""
        return False

    @property
    def single(self) -> bool:
        """Whether an action is one choice, and no tuple."""
        return True


class Categorical(_OneChoice):
    """One discrete action out of `size`; the parameters are its logits."""

    kind: Literal["Categorical"] = "Categorical"


class QValues(_OneChoice):
    """One discrete action out of `size`; the parameters are the values of the actions, as of a DQN.

    The best action is taken, the lowest of equals, but with probability `epsilon` any action, each as likely.
    """

    kind: Literal["QValues"] = "QValues"
    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.0


class MultiCategorical(ConfigModel):
    """A tuple of discrete actions; the parameters are all components' logits, concatenated in order."""

    kind: Literal["MultiCategorical"] = "MultiCategorical"
    sizes: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]

    @property
    def parameters(self) -> int:
        """How many numbers the model gives."""
        return sum(self.sizes)

    @property
    def components(self) -> int:
        """How many numbers an action has."""
        return len(self.sizes)

    @property
    def continuous(self) -> bool:
        """Whether actions are real numbers."""
        return False

    @property
    def single(self) -> bool:
        """Whether an action is one choice, and no tuple."""
        return False


class _RealNumbers(ConfigModel):
    """A vector of `size` real numbers; the parameters are means, then the logs of standard deviations."""

    kind: str
    size: Annotated[int, Field(ge=1)]

    @property
    def parameters(self) -> int:
        """How many numbers the model gives."""
        return 2 * self.size

    @property
    def components(self) -> int:
        """How many numbers an action has."""
        return self.size

    @property
    def continuous(self) -> bool:
        """Whether actions are real numbers."""
        return True

    @property
    def single(self) -> bool:
        """Whether an action is one choice, and no tuple."""
        return False

    def _require_bounds(self, low: Sequence[float | None], high: Sequence[float | None]) -> None:
        """Raises ValueError where bounds are not `size` many, or hold no number between them."""
        for name, bounds in (("low", low), ("high", high)):
            if len(bounds) != self.size:
                raise ValueError(f"{name} has {len(bounds)} values, the action has {self.size}: give one for each")
        for index, (least, greatest) in enumerate(zip(low, high, strict=True)):
            if least is not None and greatest is not None and least >= greatest:
                raise ValueError(f"low[{index}] is {least:g}, high[{index}] is {greatest:g}: low must be less")


class DiagonalGaussian(_RealNumbers):
    """A vector of `size` real numbers; the parameters are the means, then the logs of the standard deviations.

    Actions outside of the bounds are clipped to them, as environments of such policies have it.
    """

    kind: Literal["DiagonalGaussian"] = "DiagonalGaussian"
    low: list[Bound | None] | None = None
    """The least value of each component; None: there is none."""
    high: list[Bound | None] | None = None
    """The greatest value of each component; None: there is none."""

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        none = [None] * self.size
        self._require_bounds(none if self.low is None else self.low, none if self.high is None else self.high)
        return self


class SquashedGaussian(_RealNumbers):
    """A vector of `size` real numbers between bounds, as of SAC; parameters as of `DiagonalGaussian`.

    An action is `low + (tanh(x) + 1) / 2 * (high - low)` of a normal variable x.
    """

    kind: Literal["SquashedGaussian"] = "SquashedGaussian"
    low: list[Bound]
    high: list[Bound]

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        self._require_bounds(self.low, self.high)
        return self


Distribution = Annotated[
    Categorical | MultiCategorical | QValues | DiagonalGaussian | SquashedGaussian, Field(discriminator="kind")
]
