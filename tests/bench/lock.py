"""`python -m tests.bench.lock`: pins what the bench installs, with hashes; options are passed on to uv.

With `--into FOLDER` it writes there, which `make verify` compares.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tests.bench.contenders import CONTENDERS
from tests.bench.environments import PEERS

ROOT = PEERS.parents[2]


def main() -> None:
    """Compiles each `requirements.in` to the `requirements.txt` beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT)
    arguments, options = parser.parse_known_args()
    pythons = {PEERS / contender.folder: contender.python for contender in CONTENDERS}
    for source in sorted(PEERS.parent.glob("**/requirements.in")):
        target = arguments.into / source.relative_to(ROOT).with_suffix(".txt")
        target.parent.mkdir(parents=True, exist_ok=True)
        python = pythons.get(source.parent, "3.11")
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", python]
        command += ["--generate-hashes", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--custom-compile-command", "make lock", *options, str(source), "-o", str(target)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
