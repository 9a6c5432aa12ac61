"""`seldon-core-microservice Mlp`, on loopback."""
# Seldon Core is in an environment of its own, so mypy knows nothing of it.
# mypy: ignore-errors

from typing import Any

from seldon_core import gunicorn_utils, microservice

init = gunicorn_utils.StandaloneApplication.__init__


def on_loopback(self: Any, app: Any, options: dict[str, Any]) -> None:
    """Seldon listens on every address, without a setting for it."""
    init(self, app, options | {"bind": options["bind"].replace("0.0.0.0", "127.0.0.1")})


if __name__ == "__main__":
    gunicorn_utils.StandaloneApplication.__init__ = on_loopback
    microservice.main()
