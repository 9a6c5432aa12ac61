"""What is said where a model's framework isn't installed: here, PyTorch never is."""

import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from policy_server.config import Schema
from policy_server.errors import ImportFailed
from policy_server.importers.convert import convert


@pytest.mark.parametrize(
    ("members", "extra", "model_format"),
    [
        (["m/constants.pkl", "m/data.pkl", "m/version", "m/code/m.py"], "torch", "TorchScript"),
        (["m/archive_format", "m/models/model.json"], "torch", "TorchExport"),
        (["data", "policy.pth"], "stable-baselines3", "StableBaselines3"),
    ],
)
def test_the_remedy_is_named_for_a_laptop_and_for_a_cluster(
    tmp_path: Path, members: list[str], extra: str, model_format: str
) -> None:
    assert find_spec("torch") is None
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        for name in members:
            archive.writestr(name, "{}")
    with pytest.raises(ImportFailed, match="needs torch") as failure:
        convert(tmp_path / "model", tmp_path / "bundle", schema=Schema(), trust=True)
    assert f"install policyserver[{extra}]" in str(failure.value)
    assert "spec.format: " in str(failure.value)
    assert model_format in str(failure.value)
