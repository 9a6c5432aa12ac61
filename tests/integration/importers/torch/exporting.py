"""Writes small networks as TorchScript and as programs of `torch.export`, and what PyTorch answers for them.

Run as a program by the frameworks' own Python: exporting.py FOLDER NAME…; files are as of `training.py`.
"""

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROWS = 32

random = np.random.default_rng(0)


class Network(torch.nn.Module):  # type: ignore[misc]  # torch isn't installed where types are checked
    def __init__(self, *, several: bool = False, double: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.Tanh(), torch.nn.Linear(32, 4))
        for parameter in self.layers.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.register_buffer("mean", torch.arange(6, dtype=torch.float32))
        self.several, self.double_precision = several, double

    def forward(self, observations: torch.Tensor) -> Any:
        logits = self.layers(observations - self.mean)
        if self.double_precision:
            logits = logits.double()
        return (logits, logits.sum(1)) if self.several else logits


def torch_model(folder: Path, write: Callable[[torch.nn.Module], None], module: torch.nn.Module | None = None) -> None:
    module = (module or Network()).eval()
    rows = random.normal(size=(ROWS, 6)).astype(np.float32)
    np.save(folder / "observations.npy", rows)
    with torch.no_grad():
        given = module(torch.from_numpy(rows))
    logits = given[0] if isinstance(given, tuple) else given
    np.save(folder / "probabilities.npy", torch.softmax(logits, dim=1).numpy())
    np.save(folder / "actions.npy", logits.argmax(dim=1, keepdim=True).numpy())
    (folder / "facts.json").write_text("{}")
    write(module)


def script(folder: Path) -> None:
    torch_model(folder, lambda module: torch.jit.script(module).save(str(folder / "model.pt")))


def script_traced(folder: Path) -> None:
    def write(module: torch.nn.Module) -> None:
        torch.jit.trace(module, torch.zeros(1, 6)).save(str(folder / "model.pt"))

    torch_model(folder, write, Network(several=True))


def script_frozen(folder: Path) -> None:
    torch_model(folder, lambda module: torch.jit.freeze(torch.jit.script(module)).save(str(folder / "model.pt")))


def exported(folder: Path, module: torch.nn.Module, shapes: Any) -> None:
    torch_model(
        folder,
        lambda one: torch.export.save(
            torch.export.export(one, (torch.zeros(3, 6),), dynamic_shapes=shapes), folder / "model.pt2"
        ),
        module,
    )


def export(folder: Path) -> None:
    exported(folder, Network(), ({0: torch.export.Dim("batch")},))


def export_several(folder: Path) -> None:
    exported(folder, Network(several=True), ({0: torch.export.Dim("batch")},))


def export_fixed(folder: Path) -> None:
    exported(folder, Network(), None)


def export_double(folder: Path) -> None:
    exported(folder, Network(double=True), ({0: torch.export.Dim("batch")},))


class Writes(Network):
    """Writes a file when it is called, and one when it is loaded."""

    path: str

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    def forward(self, observations: torch.Tensor) -> Any:
        torch.save(observations, self.path)
        return self.layers(observations)


def script_writing(folder: Path) -> None:
    torch.jit.script(Writes(folder / "trap")).save(str(folder / "model.pt"))


class WritesOnLoad(torch.nn.Module):  # type: ignore[misc]  # as above
    path: str

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return observations[:, :4]

    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state
        torch.save(torch.zeros(1), self.path)

    # Not as decorators: the script's compiler reads the comments that the type checker would want there.
    torch.jit.export(__getstate__)
    torch.jit.export(__setstate__)


def script_writing_on_load(folder: Path) -> None:
    torch.jit.script(WritesOnLoad(folder / "trap")).save(str(folder / "model.pt"))


def script_writing_in_capitals(folder: Path) -> None:
    """PyTorch finds files in its archives whatever the case of their names."""
    script_writing_on_load(folder)
    with zipfile.ZipFile(folder / "model.pt") as archive:
        contents = {name.replace("/code/", "/CODE/"): archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "model.pt", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


class Reads(Network):
    path: str

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    def forward(self, observations: torch.Tensor) -> Any:
        return self.layers(observations) + torch.from_file(self.path, shared=True, size=4)


def script_reading(folder: Path) -> None:
    torch.jit.script(Reads(folder / "trap")).save(str(folder / "model.pt"))


def state_dict(folder: Path) -> None:
    torch.save(Network().state_dict(), folder / "model.pt")


if __name__ == "__main__":
    torch.manual_seed(0)
    for name in sys.argv[2:]:
        into = Path(sys.argv[1]) / name
        into.mkdir()
        globals()[name](into)
