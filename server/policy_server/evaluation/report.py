"""What is shown of an evaluation: a table, or the same as JSON."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from policy_server.evaluation.estimates import Evaluation
from policy_server.evaluation.units import Units

_MANY = 0.01
"""The part of all episodes from which it matters that some are left out."""


@dataclass(frozen=True)
class Report:
    """All that is found out.

    Attributes:
        units: of what.
        evaluations: of the log as it is, of each policy, and of each mix.
        lines: how many there were, by what they were.
        left_out: how many episodes or decisions alone are not among the units, by the reason.
    """

    units: Units
    evaluations: Sequence[Evaluation]
    lines: Counter[str]
    left_out: Counter[str]

    @property
    def refused(self) -> list[str]:
        """What the log can't tell, and why."""
        return [f"{each.name}: {each.refused}" for each in self.evaluations if each.refused]

    @property
    def warnings(self) -> list[str]:
        """What to beware of."""
        found = [f"{each.name}: {warning}" for each in self.evaluations for warning in each.warnings]
        several = len(self.units) + self.left_out.total()
        if self.left_out["not over yet"] > _MANY * several:
            found.append("episodes that aren't over yet are left out, and long ones are more often among them")
        if self.left_out["without a reward"] > _MANY * several:
            found.append("what has no reward is left out; if that often means a bad outcome, give --default-reward")
        if "ThompsonSampling" in self.units.modes:
            found.append(
                "ThompsonSampling draws a policy the less, the worse it did: of those that it seldom drew, what isn't"
                " refused is rather too high; logs of EpsilonGreedy and ABTest are free of that"
            )
        if not self.units.observations.shape[1]:
            found.append("observations are too long or of several lengths: DR explains rewards by policies alone")
        found += [
            f"{self.lines[what]:,} lines are {what}" for what in ("damaged", "lost by servers") if self.lines[what]
        ]
        return found

    def table(self) -> str:
        """Returns it as text: values with 95 % intervals, how many units they are of, and effective sample sizes."""
        units = f"{len(self.units):,} units with {self.units.decisions:,} decisions"
        lines = [units, *(f"{number:,} left out: {reason}" for reason, number in self.left_out.items() if number), ""]
        width = max(len(each.name) for each in self.evaluations)
        lines.append(
            f"{'':{width}}  {'method':6}  {'value':>10}  {'low':>10}  {'high':>10}  {'units':>9}  {'n_eff':>9}"
        )
        for each in self.evaluations:
            size = f"  {each.units:>9,}  {each.effective:>9,.0f}"
            if each.refused:
                lines.append(f"{each.name:{width}}  {'refused':6} {'':>35}{size}")
            for place, estimate in enumerate(each.estimates):
                numbers = "".join(f"  {number:>10.6g}" for number in (estimate.value, estimate.low, estimate.high))
                lines.append(f"{'' if place else each.name:{width}}  {estimate.method:6}{numbers}{size}")
        return "\n".join(lines)

    def json(self) -> str:
        """Returns it as JSON."""
        return json.dumps(
            {
                "units": len(self.units),
                "decisions": self.units.decisions,
                "lines": dict(self.lines),
                "leftOut": {reason: number for reason, number in self.left_out.items() if number},
                "evaluations": [asdict(each) for each in self.evaluations],
                "warnings": self.warnings,
            },
            indent=2,
        )
