import io
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_server.errors import ImportFailed
from policy_server.importers import archive
from policy_server.importers.archive import extract, is_zip, verify

MEBIBYTE = 1024 * 1024


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[..., Path]:
    """Extracts into a folder of its own, beside which nothing else may appear."""

    def run(content: bytes, max_bytes: int = 100 * MEBIBYTE) -> Path:
        source = tmp_path / "source.zip"
        source.write_bytes(content)
        folder = tmp_path / "out" / "folder"
        folder.mkdir(parents=True)
        extract(source, folder, max_bytes)
        return folder

    return run


def with_member(name: str, content: bytes = b"x", mode: int = 0) -> bytes:
    info = zipfile.ZipInfo("placeholder" if "\0" in name or "\\" in name else name)
    info.filename = name
    info.external_attr = mode << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr(info, content)
    return buffer.getvalue()


def test_files_and_folders_are_extracted(attempt: Callable[..., Path], zip_of: Callable[..., bytes]) -> None:
    folder = attempt(zip_of({"saved_model.pb": b"graph", "variables/": b"", "variables/data": b"numbers"}))
    assert (folder / "saved_model.pb").read_bytes() == b"graph"
    assert (folder / "variables" / "data").read_bytes() == b"numbers"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "variables/../../../evil"])
def test_a_zip_member_that_climbs_out_is_refused(attempt: Callable[..., Path], tmp_path: Path, name: str) -> None:
    with pytest.raises(ImportFailed, match="outside"):
        attempt(with_member(name))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["source.zip"]


@pytest.mark.parametrize("name", ["/etc/evil", "//evil"])
def test_a_zip_member_with_an_absolute_name_is_refused(attempt: Callable[..., Path], name: str) -> None:
    with pytest.raises(ImportFailed, match="outside"):
        attempt(with_member(name))


@pytest.mark.parametrize("name", ["C:evil", "c:/evil", "..\\evil", "a\\b"])
def test_a_zip_member_with_a_drive_or_backslash_is_refused(attempt: Callable[..., Path], name: str) -> None:
    with pytest.raises(ImportFailed, match="backslash, drive or NUL"):
        attempt(with_member(name))


@pytest.mark.parametrize(
    ("kind", "what"), [(stat.S_IFLNK, "link"), (stat.S_IFIFO, "special file"), (stat.S_IFCHR, "special file")]
)
def test_a_link_or_special_file_in_a_zip_is_refused(attempt: Callable[..., Path], kind: int, what: str) -> None:
    with pytest.raises(ImportFailed, match=what):
        attempt(with_member("variables", b"/etc/passwd", kind | 0o644))


def test_the_same_name_twice_in_a_zip_is_refused(attempt: Callable[..., Path]) -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as opened:
        warnings.simplefilter("ignore")
        opened.writestr("policy.onnx", "one")
        opened.writestr("./policy.onnx", "two")
    with pytest.raises(ImportFailed, match="twice"):
        attempt(buffer.getvalue())


def test_a_name_that_is_both_file_and_folder_is_refused(
    attempt: Callable[..., Path], zip_of: Callable[..., bytes]
) -> None:
    with pytest.raises(ImportFailed, match="as file and as folder"):
        attempt(zip_of({"a": b"file", "a/b": b"in a folder"}))


def test_an_encrypted_zip_is_refused(attempt: Callable[..., Path], zip_of: Callable[..., bytes]) -> None:
    content = bytearray(zip_of({"a": b"secret"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory, which decides
    with pytest.raises(ImportFailed, match="encrypted"):
        attempt(bytes(content))


def test_a_zip_with_too_many_members_is_refused(
    attempt: Callable[..., Path], zip_of: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 5)
    with pytest.raises(ImportFailed, match="6 members, 5 are allowed"):
        attempt(zip_of({str(number): b"" for number in range(6)}))


def test_a_zip_bomb_is_refused_by_its_ratio(attempt: Callable[..., Path], zip_of: Callable[..., bytes]) -> None:
    with pytest.raises(ImportFailed, match="zip bomb"):
        attempt(zip_of({"zeros": bytes(10 * MEBIBYTE)}))


def test_a_small_member_may_compress_as_well_as_it_can(
    attempt: Callable[..., Path], zip_of: Callable[..., bytes]
) -> None:
    assert (attempt(zip_of({"zeros": bytes(MEBIBYTE)})) / "zeros").stat().st_size == MEBIBYTE


def test_all_members_together_are_bounded(attempt: Callable[..., Path], zip_of: Callable[..., bytes]) -> None:
    with pytest.raises(ImportFailed, match=r"more than 1,000 bytes.*--max-bytes"):
        attempt(zip_of({"a": bytes(600), "b": bytes(600)}), max_bytes=1000)


def test_members_that_share_their_bytes_are_refused(attempt: Callable[..., Path], zip_of: Callable[..., bytes]) -> None:
    """The quine-like bomb: one compressed block, named by many entries of the central directory."""
    content = zip_of({"a": bytes(range(256)) * 40})
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entry = content[start:end]
    entries = b"".join(entry.replace(b"a", bytes([97 + number])) for number in range(20))
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 20, 20, len(entries), start, 0)
    with pytest.raises(ImportFailed, match=r"overlap|damaged"):
        attempt(content[:start] + entries + tail)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_zip_is_refused(attempt: Callable[..., Path], zip_of: Callable[..., bytes], kept: float) -> None:
    content = zip_of({"a": bytes(range(256)) * 100, "b": b"more"})
    with pytest.raises(ImportFailed, match="damaged or truncated"):
        attempt(content[: int(len(content) * kept)])


def test_a_zip_with_changed_bytes_is_refused(attempt: Callable[..., Path]) -> None:
    content = with_member("a", b"these bytes are stored as they are")
    with pytest.raises(ImportFailed, match="damaged"):
        attempt(content.replace(b"stored", b"storef"))


def test_a_zip_is_known_by_its_first_bytes(tmp_path: Path, zip_of: Callable[..., bytes]) -> None:
    (tmp_path / "no-suffix").write_bytes(zip_of({"a": b"b"}))
    (tmp_path / "liar.zip").write_bytes(b"text")
    assert is_zip(tmp_path / "no-suffix")
    assert not is_zip(tmp_path / "liar.zip")


def test_what_is_read_without_unpacking_is_held_to_the_same_rules(tmp_path: Path, zip_of: Callable[..., bytes]) -> None:
    path = tmp_path / "model.zip"
    for content, expected in (
        (zip_of({"zeros": bytes(10 * MEBIBYTE)}), "zip bomb"),
        (zip_of({"a": bytes(600), "b": bytes(600)}), "more than 1,000 bytes"),
        (with_member("../evil"), "outside"),
        (with_member("a")[:-10], "damaged or truncated"),
    ):
        path.write_bytes(content)
        with pytest.raises(ImportFailed, match=expected):
            verify(path, 1000 if "1,000" in expected else 100 * MEBIBYTE)
    path.write_bytes(zip_of({"policy.pth": bytes(1000)}))
    verify(path, 1000)
    assert [one.name for one in tmp_path.iterdir()] == ["model.zip"]
