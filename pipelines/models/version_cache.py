"""Verified ONNX files of registered versions, kept in the home."""

import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from components.common.model.exchange import ONNX_FILE
from components.common.model.judgement import Judgement
from components.common.model.known_answers import KNOWN_ANSWERS, compare_known_answers
from components.common.model.lineage import LINEAGE
from components.common.model.runtime import RuntimeClassifier
from components.common.model.signing import SIGNATURE_FILE, trust_digest
from components.common.model.stored_version import signed_statement
from components.common.model.version_tags import version_tags
from components.common.settings import exported
from components.common.storage.files import combined_digest, sha256_file, written_directory
from components.common.tracking.tags import SIGNING_KEY
from components.register.choose import choose_model, choose_version
from pipelines.local.home import Home
from pipelines.local.home_keys import trust_variables
from pipelines.models.reader import open_reader

if TYPE_CHECKING:
    from pipelines.models.reader import Reader, StoredVersion

# Files of a version that its ONNX file is checked and asked with.
NEEDED = (ONNX_FILE.as_posix(), f"{LINEAGE}/{Judgement.FILE}", KNOWN_ANSWERS)
MOST_KEPT = 8


@dataclass(frozen=True)
class FoundVersion:
    """A version that the user names.

    Attributes:
        name: The registered model.
        version: Number of the version.
        classifier: Its ONNX file, verified; None where it was registered without one.
    """

    name: str
    version: str
    classifier: RuntimeClassifier | None


def open_version(home: Path, model: str, version: str, *, allow_unsigned: bool = False) -> FoundVersion:
    """Open a registered version: the kept one, or one that is fetched, verified and kept.

    What is kept is found by its digests in the registry and by the keys that were trusted when it was verified, and its
    content is compared with the digests at each use. The least recently used are removed.

    Args:
        home: Directory of the embedded platform. The registry is there, or where the settings say.
        model: The registered model; "" where there is only one.
        version: A number or an alias.
        allow_unsigned: Whether it may be without a signature by a trusted key.

    Raises:
        PipelineError: There is no such version, it must be signed but is not, it is not what was registered, the
            registry does not answer, or the home cannot be written, or others can write to it.
    """
    with exported(trust_variables(Home(home))), open_reader(home) as reader:
        models = reader.aliases()
        name = choose_model(models, model)
        versions = {found.version: found for found in reader.versions(name)}
        found = versions[choose_version(name, versions, models[name], version)]
        recorded = version_tags(found.tags, name, found.version).model_files or {}
        if ONNX_FILE.as_posix() not in recorded:
            return FoundVersion(name, found.version, None)
        expected = {path: recorded.get(path, "") for path in NEEDED}
        # So what was kept while another key was trusted is not found.
        trust = {"keys": trust_digest(), "unsigned": str(allow_unsigned)}
        # Else somebody could replace a file after its digest is compared.
        Home(home).make(Home(home).models)
        kept = Home(home).models / combined_digest(expected | trust)
        if not _is_whole(kept, expected):
            shutil.rmtree(kept, ignore_errors=True)
            _keep(reader, found, expected, kept, allow_unsigned)
    kept.touch()
    return FoundVersion(name, found.version, RuntimeClassifier(kept))


def aliased_version(home: Path, model: str, alias: str) -> str:
    """Return the number of the version that an alias names; `home` and `model` are as in `open_version`.

    Raises:
        PipelineError: There is no such alias, or the registry does not answer.
    """
    with open_reader(home) as reader:
        models = reader.aliases()
    name = choose_model(models, model)
    return choose_version(name, models[name].values(), models[name], alias)


def _is_whole(directory: Path, expected: dict[str, str]) -> bool:
    files = {path: directory / path for path in expected}
    return all(file.is_file() and sha256_file(file) == expected[path] for path, file in files.items())


def _require_signed(
    reader: "Reader", version: "StoredVersion", location: str, expected: dict[str, str], allow_unsigned: bool
) -> None:
    content = reader.file(version, location, SIGNATURE_FILE) if SIGNING_KEY in version.tags else None
    statement = signed_statement(content, version.name, version.version, allow_unsigned=allow_unsigned)
    if statement and not expected.items() <= statement.files.items():
        raise _refused(version, "its tag model_files is not what was signed")


def _keep(
    reader: "Reader", version: "StoredVersion", expected: dict[str, str], target: Path, allow_unsigned: bool
) -> None:
    """Fetch and verify a version's files, and keep them in `target`, which does not exist."""
    location = reader.location(version)
    _require_signed(reader, version, location, expected, allow_unsigned)
    try:
        with written_directory(target) as partial:
            for path, digest in expected.items():
                content = reader.file(version, location, path)
                if sha256(content).hexdigest() != digest:
                    raise _refused(version, f"{path} is changed since")
                (partial / path).parent.mkdir(exist_ok=True)
                (partial / path).write_bytes(content)
            _, problem = compare_known_answers(RuntimeClassifier(partial), partial, in_float32=True)
            if problem:
                raise _refused(version, problem)
        kept = sorted(target.parent.iterdir(), key=lambda path: path.stat().st_mtime)
    except OSError as error:
        raise PipelineError(
            f"{target.parent} must be a directory that can be written but is not ({error.strerror}): "
            "choose another home with --home."
        ) from error
    for old in kept[:-MOST_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _refused(version: "StoredVersion", problem: str) -> PipelineError:
    return PipelineError(
        f"{version.name} version {version.version} must be what was registered but {problem}: "
        "choose another version with `mnist-pipeline models promote`."
    )
