import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_folder_shadows_the_standard_librarys_operator() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "server" / "__init__.py").exists()
    assert not [folder for folder in (ROOT / "tests").rglob("operator") if folder.is_dir()]


def test_pytest_runs_as_a_module_from_the_root() -> None:
    # With the root on the path, a package named operator would break the interpreter's own imports.
    done = subprocess.run([sys.executable, "-m", "pytest", "--version"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
