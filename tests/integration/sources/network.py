"""Runs inside the network that test_addresses.py makes: a server on all its addresses, and one `fetch`.

Prints, as JSON, how the fetch ended, the last line it said, and on which addresses the server was reached.
"""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

reached: list[str] = []


class Anything(BaseHTTPRequestHandler):
    """Gives a model, or below /to?URL a redirect."""

    def do_GET(self) -> None:
        reached.append(self.connection.getsockname()[0])
        path, _, target = self.path.partition("?")
        self.send_response(302 if path == "/to" else 200)
        if path == "/to":
            self.send_header("Location", unquote(target))
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"model")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        pass


def main(uri: str, addresses: str, output: str) -> None:
    """Fetches one URI."""
    server = ThreadingHTTPServer(("", 8000), Anything)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [sys.executable, "-m", "policy_server.importers", "fetch", uri]
    command += [f"--output={output}", f"--addresses={addresses}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    last = done.stderr.splitlines()[-1] if done.returncode else ""
    print(json.dumps({"code": done.returncode, "last": last, "reached": reached}))


if __name__ == "__main__":
    main(*sys.argv[1:])
