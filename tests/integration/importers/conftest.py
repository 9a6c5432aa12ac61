from pathlib import Path

import pytest

from tests.integration.tensorflow_process import run_tensorflow


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of SavedModels, one for each function of `exporting.POLICIES`."""
    folder = tmp_path_factory.mktemp("exported")
    run_tensorflow("export", folder)
    return folder
