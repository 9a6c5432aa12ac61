"""Imports models as `policyserver import --trust` does, many in one process, for PyTorch takes seconds to load.

Run as a program by the frameworks' own Python: importing.py FOLDER NAME…; each FOLDER/NAME gets a `bundle`, or a file
`failure` with the message.
"""

import sys
from pathlib import Path

from policy_server.config import Schema
from policy_server.errors import PolicyServerError
from policy_server.importers.convert import convert


def main() -> None:
    schema = Schema(discrete=True)
    for name in sys.argv[2:]:
        folder = Path(sys.argv[1]) / name
        (model,) = folder.glob("model*")
        known = schema if model.suffix in {".pt", ".pt2"} else None
        try:
            convert(model, folder / "bundle", schema=known, trust=True)
        except PolicyServerError as error:
            (folder / "failure").write_text(str(error))


if __name__ == "__main__":
    main()
