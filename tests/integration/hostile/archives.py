"""Archives, folders and pickles."""

import base64
import io
import json
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np

from tests.integration.hostile.corpus import MEBIBYTE, Evil, case, evil_pickle, zip_of


@case("would be written outside of the folder: refused")
def zip_slip(source: Path, canary: Path) -> None:
    source.write_bytes(zip_of({"saved_model.pb": b"x", f"../../{canary.name}": b"x"}))


@case("would be written outside of the folder: refused")
def zip_with_an_absolute_name(source: Path, canary: Path) -> None:
    source.write_bytes(zip_of({str(canary): b"x"}))


@case("is a link: put the file itself")
def zip_with_a_symbolic_link(source: Path, canary: Path) -> None:
    source.write_bytes(zip_of({"variables": str(canary.parent).encode()}, stat.S_IFLNK | 0o777))


@case("is a special file")
def zip_with_a_device(source: Path, canary: Path) -> None:
    source.write_bytes(zip_of({"saved_model.pb": b""}, stat.S_IFCHR | 0o666))


@case("zip bomb")
def zip_bomb(source: Path, canary: Path) -> None:
    source.write_bytes(zip_of({"saved_model.pb": bytes(300 * MEBIBYTE)}))


@case("zip bomb")
def zip_bomb_that_looks_like_stable_baselines3(source: Path, canary: Path) -> None:
    source.write_bytes(zip_of({"data": b"{}", "policy.pth": bytes(300 * MEBIBYTE)}))


@case("zip bomb")
def zip_bomb_in_an_archive_of_a_model_in_an_archive(source: Path, canary: Path) -> None:
    inner = zip_of({"model/constants.pkl": b"", "model/version": b"3", "model/data.pkl": bytes(300 * MEBIBYTE)})
    source.write_bytes(zip_of({"model.pt": inner}, compression=zipfile.ZIP_STORED))


@case("members overlap|damaged")
def zip_whose_members_share_their_bytes(source: Path, canary: Path) -> None:
    content = zip_of({"a": bytes(range(256)) * 4000}, compression=zipfile.ZIP_STORED)
    start, end = content.index(b"PK\x01\x02"), content.rindex(b"PK\x05\x06")
    entries = b"".join(content[start:end].replace(b"a", bytes([97 + at]), 1) for at in range(25))
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 25, 25, len(entries), start, 0)
    source.write_bytes(content[:start] + entries + tail)


@case("20,000 members, 10,000 are allowed")
def zip_of_very_many_members(source: Path, canary: Path) -> None:
    source.write_bytes(zip_of({str(at): b"" for at in range(20_000)}))


@case("damaged or truncated")
def truncated_zip(source: Path, canary: Path) -> None:
    source.write_bytes(zip_of({"saved_model.pb": bytes(range(256)) * 100})[:-40])


@case("found no model among inner.zip")
def zip_in_a_zip_in_a_zip(source: Path, canary: Path) -> None:
    inner = zip_of({"deepest.zip": zip_of({"saved_model.pb": bytes(MEBIBYTE)})})
    source.write_bytes(zip_of({"inner.zip": inner}))


@case("is a link: put plain files|is a link")
def folder_with_a_link_out(source: Path, canary: Path) -> None:
    source.mkdir()
    (source / "policy.json").symlink_to("/etc/passwd")
    (source / "policy.onnx").symlink_to("/etc/passwd")


@case("a pickle, perhaps of torch.save")
def bare_pickle(source: Path, canary: Path) -> None:
    source.write_bytes(evil_pickle(canary))


@case("without the model's code")
def pickle_that_torch_saved(source: Path, canary: Path) -> None:
    source.write_bytes(zip_of({"archive/data.pkl": evil_pickle(canary), "archive/version": b"3"}))


@case("trust")
def stable_baselines3_with_a_pickle(source: Path, canary: Path) -> None:
    serialized = base64.b64encode(evil_pickle(canary)).decode()
    data = json.dumps({"policy_class": {":type:": "<class 'abc.ABCMeta'>", ":serialized:": serialized}})
    parameters = zip_of({"archive/data.pkl": evil_pickle(canary), "archive/version": b"3"})
    source.write_bytes(zip_of({"data": data.encode(), "policy.pth": parameters, "pytorch_variables.pth": parameters}))


@case("trust")
def rllib_checkpoint_with_a_pickle(source: Path, canary: Path) -> None:
    source.mkdir()
    (source / "rllib_checkpoint.json").write_text('{"type": "Policy", "checkpoint_version": "1.1"}')
    for name in ("policy_state.pkl", "class_and_ctor_args.pkl", "algorithm_state.pkl"):
        (source / name).write_bytes(evil_pickle(canary))


@case("unknown format")
def object_array(source: Path, canary: Path) -> None:
    with source.open("wb") as file:
        np.save(file, np.array([Evil(canary)], dtype=object), allow_pickle=True)


@case("found no model among weights.npy")
def object_array_in_an_archive(source: Path, canary: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil(canary)], dtype=object), allow_pickle=True)
    source.write_bytes(zip_of({"weights.npy": buffer.getvalue()}))
