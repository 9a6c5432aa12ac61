"""What is in the images, seen from inside their containers."""

from __future__ import annotations

import json

import pytest

from tests.e2e import installation, tools
from tests.e2e.tools import Tools

_LOOK = """
import importlib.util, json, os, pathlib, shutil
import policy_server.config
def writable(path):
    try:
        pathlib.Path(path, "probe").touch()
    except OSError:
        return False
    return True
print(json.dumps({
    "user": os.getuid(),
    "compilers": [name for name in ("cc", "gcc", "g++", "clang", "make", "rustc", "go") if shutil.which(name)],
    "caches": [str(path) for path in pathlib.Path("/").glob("**/.cache/pip") if path.is_dir()],
    "frameworks": [name for name in ("tensorflow", "torch", "tf2onnx") if importlib.util.find_spec(name)],
    "writable": [path for path in ("/", "/venv", "/usr", "/etc", os.path.expanduser("~root")) if writable(path)],
    "compiled": pathlib.Path(policy_server.config.__cached__).exists(),
}))
"""
PODS = {
    "server": ("pod/client", tools.NAMESPACE),
    "operator": (f"deployment/{installation.OPERATOR}", installation.NAMESPACE),
}


@pytest.mark.parametrize("image", PODS)
def test_an_image_holds_what_runs_and_nothing_to_build_with(tools: Tools, image: str) -> None:
    pod, namespace = PODS[image]
    seen = json.loads(tools.kubectl("exec", pod, f"--namespace={namespace}", "--", "python", "-c", _LOOK))
    assert seen == {
        "user": 65532,
        "compilers": [],
        "caches": [],
        "frameworks": [],
        "writable": [],
        "compiled": True,
    }
