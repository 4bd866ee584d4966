"""Unpacking of archives that real writers made, and of damaged ones."""

import gzip
import io
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.common.bounds import LARGEST_IN_MEMORY
from components.common.errors import PipelineError
from components.ingest.form import Place
from components.ingest.forms import archives

FILES = {
    "train/cat/1.png": b"one",
    "train/dog/2.png": b"",
    "readme.txt": bytes(range(256)) * 4097,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "folder"
    for name, content in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return directory


def unpacked(path: Path) -> dict[str, bytes]:
    """Unpack, and return the files by name."""
    target = path.parent / "unpacked"
    place = archives.unpack(Place(path, "s3://bucket/it"), target)
    assert place == Place(target, "s3://bucket/it")
    files = {str(file.relative_to(target)): file.read_bytes() for file in target.rglob("*") if file.is_file()}
    for directory, members in place.packed.items():
        assert not [file for file in directory.iterdir() if file.name in members.names]
        names = [str((directory / name).relative_to(target)) for name in members.names]
        files |= dict(zip(names, members.contents(LARGEST_IN_MEMORY), strict=True))
    return files


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_pictures_stay_in_a_zip_that_is_packed_as_usual(tmp_path: Path, method: int) -> None:
    content = {f"a/{number}.png": bytes([number]) * (number * 999) for number in range(9)}
    with zipfile.ZipFile(tmp_path / "it", "w", method) as archive:
        for name, picture in content.items():
            archive.writestr(name, picture)
    assert unpacked(tmp_path / "it") == content
    assert bool(list((tmp_path / "unpacked" / "a").iterdir())) == (method == zipfile.ZIP_LZMA)


@pytest.mark.parametrize("damage", ["content", "header", "end"])
def test_a_damaged_picture_in_a_zip_is_named(tmp_path: Path, damage: str) -> None:
    path = zip_of(tmp_path / "it", {"a/1.png": bytes(range(256)) * 9, "a/2.png": bytes(range(256)) * 9})
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("a/2.png").header_offset
    content = bytearray(path.read_bytes())
    content[start + {"content": 60, "header": 0, "end": 27}[damage]] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"/2\.png must be intact in its archive but is damaged \("):
        unpacked(path)


def tar_of(path: Path, *members: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def tar_member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, "/etc/passwd" if kind != tarfile.REGTYPE else ""
    return member


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_archives_are_known_by_their_content(folder: Path, tmp_path: Path, kind: str) -> None:
    made = Path(shutil.make_archive(str(tmp_path / "made"), kind, folder))
    assert unpacked(made.rename(tmp_path / "download")) == FILES


@pytest.mark.parametrize("kind", ["tar", "gztar"])
def test_pictures_stay_in_a_tar(folder: Path, tmp_path: Path, kind: str) -> None:
    made = Path(shutil.make_archive(str(tmp_path / "made"), kind, folder))
    place = archives.unpack(Place(made, "it"), tmp_path / "unpacked")
    assert place
    assert [file.name for file in place.path.rglob("*.*")] == ["readme.txt"]
    files = place.packed[tmp_path / "unpacked" / "train" / "cat"].chosen(["1.png"], "it")
    assert (files.name(0), list(files.contents(2))) == ("it/1.png", [b"on"])
    files.archive.write_bytes(b"")
    with pytest.raises(
        PipelineError, match=r"^it/1\.png must be intact in its archive but is damaged \(it ends "
    ):
        list(files.contents(2))


def test_a_compressed_tar_without_pictures_is_not_kept(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "train")
    made = Path(shutil.make_archive(str(tmp_path / "made"), "gztar", folder))
    assert list(unpacked(made)) == ["readme.txt"]
    assert not (tmp_path / "unpacked.tar").exists()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_every_form_with_long_names(folder: Path, tmp_path: Path, form: int) -> None:
    with tarfile.open(tmp_path / "it", "w", format=form) as archive:
        archive.add(folder, arcname="a" * 90 + "/" + "b" * 60)
    assert sorted(unpacked(tmp_path / "it").values()) == sorted(FILES.values())


@pytest.mark.parametrize("name", ["plain.csv", "labels.gz", "empty", "zeros"])
def test_other_files_are_no_archives(tmp_path: Path, name: str) -> None:
    content = {
        "plain.csv": b"label,pixel0\n1,2\n" * 99,
        "labels.gz": gzip.compress(bytes(4096)),
        "empty": b"",
    }
    (tmp_path / name).write_bytes(content.get(name, bytes(4096)))
    assert archives.unpack(Place(tmp_path / name, "it"), tmp_path / "unpacked") is None


def test_a_directory_and_an_npz_are_no_archives(tmp_path: Path) -> None:
    assert archives.unpack(Place(tmp_path, "it"), tmp_path / "unpacked") is None
    np.savez_compressed(tmp_path / "data.npz", x=np.arange(3))
    assert archives.unpack(Place(tmp_path / "data.npz", "it"), tmp_path / "unpacked") is None


def test_hidden_files_and_those_of_macos_are_left_out(tmp_path: Path) -> None:
    names = ["a/1.png", "__MACOSX/a/._1.png", "a/.DS_Store", ".git/config", "./b/2.png", "c\\3.png"]
    found = unpacked(zip_of(tmp_path / "it", dict.fromkeys(names, b"x")))
    assert sorted(found) == ["a/1.png", "b/2.png", "c/3.png"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../out.png", "a/../../out.png", "..\\out.png"])
def test_members_outside_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    for path in (zip_of(tmp_path / "zip", {name: b"x"}), tar_of(tmp_path / "tar", tar_member(name))):
        with pytest.raises(PipelineError, match=r"^it: members must lie in its own directory but one is "):
            archives.unpack(Place(path, "it"), tmp_path / f"of-{path.name}")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_links_devices_and_files_with_holes_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(
        PipelineError, match=r"^it: members must be whole files and directories but 'a' is neither: "
    ):
        archives.unpack(
            Place(tar_of(tmp_path / "it", tar_member("a", kind=kind)), "it"), tmp_path / "unpacked"
        )


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "it", "w") as archive:
        link = zipfile.ZipInfo("a")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(PipelineError, match="'a' is neither"):
        archives.unpack(Place(tmp_path / "it", "it"), tmp_path / "unpacked")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "it", "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    with pytest.raises(PipelineError, match="'a' occurs twice"):
        archives.unpack(Place(tmp_path / "it", "it"), tmp_path / "unpacked")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_of(tmp_path / "it", {"a": b"secret"}).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "it").write_bytes(content)
    with pytest.raises(
        PipelineError, match=r"^it must be readable without a password but 'a' is encrypted: "
    ):
        archives.unpack(Place(tmp_path / "it", "it"), tmp_path / "unpacked")


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_truncated_archive_is_refused(folder: Path, tmp_path: Path, kind: str, share: float) -> None:
    rng = np.random.default_rng(1)
    for name in "abc":
        (folder / name).write_bytes(rng.bytes(5000))
    path = Path(shutil.make_archive(str(tmp_path / "made"), kind, folder))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(PipelineError, match=r"^it must be an archive that can be unpacked but is damaged "):
        archives.unpack(Place(path, "it"), tmp_path / "unpacked")


def test_damage_within_an_archive_is_refused(tmp_path: Path) -> None:
    """The library itself ends without a word at a damaged header."""
    members = [tar_member(name, 1000) for name in "abc"]
    tar = tar_of(tmp_path / "tar", *members)
    content = bytearray(tar.read_bytes())
    content[1536 + 10] ^= 1
    tar.write_bytes(content)
    compressed = tar_of(tmp_path / "gz", *members, mode="w:gz")
    compressed.write_bytes(compressed.read_bytes()[:-8] + bytes(8))
    zipped = zip_of(tmp_path / "zip", {"a": b"a" * 100})
    content = bytearray(zipped.read_bytes())
    content[33] ^= 255
    zipped.write_bytes(content)
    for path in (tar, compressed, zipped):
        with pytest.raises(
            PipelineError, match=r"^it must be an archive that can be unpacked but is damaged "
        ):
            archives.unpack(Place(path, "it"), tmp_path / f"of-{path.name}")


def test_a_compression_that_python_lacks_is_named(tmp_path: Path) -> None:
    content = bytearray(zip_of(tmp_path / "it", {"a": b"a" * 100}).read_bytes())
    for at in (8, content.index(b"PK\x01\x02") + 10):
        content[at : at + 2] = struct.pack("<H", 9)
    (tmp_path / "it").write_bytes(content)
    with pytest.raises(PipelineError, match="compression method is not supported"):
        archives.unpack(Place(tmp_path / "it", "it"), tmp_path / "unpacked")


def test_bounds_are_checked_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [zip_of(tmp_path / "zip", {"a": bytes(900), "b": bytes(200)})]
    files.append(tar_of(tmp_path / "tar", tar_member("a", 1100)))
    monkeypatch.setattr(archives, "LARGEST_DOWNLOAD", 1000)
    for path in files:
        with pytest.raises(
            PipelineError, match=r"^it: the unpacked bytes must be at most 1,000 but is 1,100: "
        ):
            archives.unpack(Place(path, "it"), tmp_path / f"of-{path.name}")
        assert list((tmp_path / f"of-{path.name}").iterdir()) == []
    monkeypatch.setattr(archives, "MOST_FILES", 1)
    with pytest.raises(PipelineError, match=r"^it: the number of files must be at most 1 but is 2: "):
        archives.unpack(Place(files[0], "it"), tmp_path / "files")


def test_a_zip_that_announces_less_than_it_holds_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_of(tmp_path / "it", {"a": bytes(1_000_000)}).read_bytes())
    for at in (22, content.index(b"PK\x01\x02") + 24):
        content[at : at + 4] = struct.pack("<I", 100)
    (tmp_path / "it").write_bytes(content)
    with pytest.raises(PipelineError, match="damaged"):
        archives.unpack(Place(tmp_path / "it", "it"), tmp_path / "unpacked")


def test_a_tar_header_of_any_length_is_refused(tmp_path: Path) -> None:
    """A name of gigabytes, compressed to nothing, would be read into memory."""
    path = tar_of(tmp_path / "it", tar_member("a", 2**21, kind=tarfile.GNUTYPE_LONGNAME), mode="w:gz")
    with pytest.raises(
        PipelineError, match=r"^it: the bytes of a member's header must be at most 1,048,576 but is "
    ):
        archives.unpack(Place(path, "it"), tmp_path / "unpacked")
