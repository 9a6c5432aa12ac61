"""`policyserver inspect`: what is in a bundle."""

from pathlib import Path
from typing import Annotated

import typer

from policy_operator.bundles import described
from policy_operator.output import Output, OutputOption, show


def inspect(
    bundle: Annotated[Path, typer.Argument(help="A folder that `policyserver import` wrote.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what is in a bundle: what the model observes, which actions it takes, where it came from, how fast it is.

    Digests are checked, and the model is run once.

    Examples: `policyserver inspect bundle/`, `policyserver inspect bundle/ -o json | jq .distribution`
    """
    show(described(bundle), output)
