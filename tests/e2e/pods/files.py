"""Serves the files of a folder; below /in-turn/NAME/ another file of folder NAME each time, as a bad mirror would."""

import functools
import http.server
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(sys.argv[1])
turns: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)


class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def translate_path(self, path: str) -> str:
        if not path.startswith("/in-turn/"):
            return super().translate_path(path)
        name = Path(path).parts[2]
        files = sorted((FOLDER / name).iterdir())
        turn = next(turns[name]) if self.command == "GET" else 0
        return str(files[turn % len(files)])


server = http.server.ThreadingHTTPServer(("", 8000), functools.partial(Files, directory=FOLDER))
server.serve_forever()
