"""The same tests where Ray answers: see conftest.py for what makes the difference."""

from tests.unit.server.test_http import *  # noqa: F403 -- all that are there
