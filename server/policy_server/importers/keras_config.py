"""What a Keras file says of itself, read before Keras is: its description of layers and its HDF5 structure.

Keras builds whatever the description names. Its own safe mode has had gaps (CVE-2024-3660, CVE-2025-1550,
CVE-2025-9906 among others), so nothing is left to it that can be judged beforehand.
"""
# ruff: noqa: PLC0415  # h5py comes with TensorFlow, and the serving image has neither

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from policy_server.errors import ImportFailed
from policy_server.importers.formats import remedy
from policy_server.importers.trust import require_trust

RUNS_CODE = {
    "Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer",
    # These read files that the description names.
    "StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization",
}  # fmt: skip
_MODULES = (
    "keras.activations", "keras.constraints", "keras.dtype_policies", "keras.initializers", "keras.layers",
    "keras.losses", "keras.metrics", "keras.models", "keras.ops", "keras.optimizers", "keras.regularizers", "keras.src",
)  # fmt: skip
_LONGEST = 16 * 1024 * 1024
_PREFIXES = tuple(f"{module}." for module in _MODULES)
_BARE_MODULES = (None, "", "builtins", "keras")


def model_config(path: Path) -> Any:
    """Returns the description of the model in an HDF5 file, or in the folder of an unpacked `.keras` archive.

    Raises:
        ImportFailed: it isn't there or isn't JSON, or the file leads to other files.
    """
    weights = path / "model.weights.h5" if path.is_dir() else path
    said = _read_hdf5(weights)
    text: str | bytes | None = (path / "config.json").read_bytes() if path.is_dir() else said
    if text is not None and len(text) > _LONGEST:
        raise ImportFailed(f"the Keras file's description of the model has {len(text):,} bytes, no policy's has")
    if text is None:
        raise ImportFailed("the HDF5 file holds weights, but no model: save the whole model with model.save(...)")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ImportFailed(f"the Keras file's description of the model is damaged ({error}): save it again") from None


def require_harmless(config: Any, trust: bool) -> None:
    """Raises ImportFailed where the description names code that isn't Keras' own, or, without `trust`, holds code."""
    for place, one in _named(config, "the model"):
        class_name, module, registered = one["class_name"], one.get("module"), one.get("registered_name")
        if class_name in RUNS_CODE:
            require_trust(trust, f"the Keras model's layer {place} ({class_name})")
        known = module in _BARE_MODULES or (isinstance(module, str) and f"{module}.".startswith(_PREFIXES))
        if not known or (isinstance(registered, str) and ">" in registered):
            raise ImportFailed(
                f"the Keras model's {place} is {registered or class_name!r} of {module or 'an unknown module'}, which"
                " isn't part of Keras: build the model of Keras' own layers, or export it as ONNX"
            )


def as_keras_3(config: Any) -> Any:
    """Returns the description with the Sequential models of Keras 1 and 2 written as Keras 3 understands them.

    They may be a bare list of layers, and say the input's shape on their first layer, where Keras 3 takes the batch for
    a dimension of the observation.
    """
    if isinstance(config, list):
        return [as_keras_3(each) for each in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "Sequential":
        inner = config.get("config")
        inner = {"name": "sequential", "layers": inner} if isinstance(inner, list) else inner
        if isinstance(inner, dict) and isinstance(inner.get("layers"), list):
            config = config | {"config": inner | {"layers": _with_input(inner["layers"])}}
    return {name: as_keras_3(each) for name, each in config.items()}


def _with_input(layers: list[Any]) -> list[Any]:
    first = layers[0].get("config") if layers and isinstance(layers[0], dict) else None
    if not isinstance(first, dict) or "batch_input_shape" not in first or layers[0]["class_name"] == "InputLayer":
        return layers
    said = {"batch_shape": first["batch_input_shape"], "dtype": first.get("dtype") or "float32", "name": "observed"}
    without = {name: value for name, value in first.items() if name != "batch_input_shape"}
    return [{"class_name": "InputLayer", "config": said}, layers[0] | {"config": without}, *layers[1:]]


def _named(config: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each part that names a class or a function, with the name of the layer it is in."""
    waiting = [(name, config)]
    while waiting:
        place, one = waiting.pop()
        if isinstance(one, list):
            waiting += [(place, each) for each in reversed(one)]
        elif isinstance(one, dict):
            inner = one.get("config")
            if "class_name" in one:
                if isinstance(inner, dict) and isinstance(inner.get("name"), str):
                    place = repr(inner["name"])
                yield place, one
            waiting += [(place, each) for each in reversed(one.values())]


def _read_hdf5(path: Path) -> str | bytes | None:
    """Returns the file's description of the model, if it has one, once nothing in it leads out of it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportFailed(f"a Keras model needs h5py and keras ({error}): {remedy('tensorflow')}") from error
    try:
        with h5py.File(path, "r") as file:
            _require_self_contained(h5py, file)
            said = file.attrs.get("model_config")
    except (OSError, KeyError, RuntimeError) as error:
        raise ImportFailed(f"the HDF5 file is damaged or truncated ({error}): fetch it or save it again") from None
    return said if isinstance(said, str | bytes) else None


def _require_self_contained(h5py: Any, file: Any) -> None:
    seen, waiting = set(), [file]
    while waiting:
        group = waiting.pop()
        place = h5py.h5o.get_info(group.id).addr
        if place in seen:  # groups may hold each other
            continue
        seen.add(place)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ImportFailed(f"the HDF5 file's {group.name}/{name} is a link: save the model itself")
            one = group[name]
            if isinstance(one, h5py.Group):
                waiting.append(one)
            elif isinstance(one, h5py.Dataset) and (one.is_virtual or one.external):
                raise ImportFailed(f"the HDF5 file's {one.name} is kept in another file: save the model in one file")
