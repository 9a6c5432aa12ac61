"""Imports checkpoints as `policyserver import --trust` does, all in one process, for RLlib takes seconds to load.

Run as a program by the frameworks' own Python: importing.py FOLDER PATH…; for each FOLDER/PATH there is then
FOLDER/bundles/PATH, or a file FOLDER/failures/PATH with the message, where PATH has `-` for `/`.
"""

import sys
from pathlib import Path

from policy_server.errors import PolicyServerError
from policy_server.importers.convert import convert


def main(folder: Path, paths: list[str]) -> None:
    (folder / "failures").mkdir()
    for path in paths:
        name = path.replace("/", "-")
        try:
            convert(folder / path, folder / "bundles" / name, trust=True)
        except PolicyServerError as error:
            (folder / "failures" / name).write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
