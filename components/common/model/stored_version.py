"""Files of a registered version, checked against its signature and its digests before anything opens them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.errors import PipelineError, UnavailableError, first_line, of_outage
from components.common.model.lineage import LINEAGE, Lineage
from components.common.model.signing import (
    SIGNATURE_FILE,
    SignatureError,
    Statement,
    UnknownKeyError,
    read_statement,
    trusted_keys,
    version_digests,
)
from components.common.model.version_tags import version_tags
from components.common.settings import settings
from components.common.storage.files import require_digests
from components.common.tracking.failures import is_outage, mlflow_errors, reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_NAMED = 3
# MLflow reports any failed download as an error of its own; the answers of web servers and of S3 stand in its text.
REFUSED = re.compile(r"\b4(?!08|29)\d\d Client Error|An error occurred \((?:4\d\d|NoSuch\w+|AccessDenied)\)")


@dataclass(frozen=True)
class FetchedVersion:
    """A downloaded version.

    Attributes:
        run: Kubeflow's id of the pipeline run that registered it; "" where it is not known.
        files: Number of files that are as they were registered.
        problems: Differences from what was registered, in words; nothing may be opened where there are any.
    """

    run: str
    files: int
    problems: tuple[str, ...]


def signed_statement(
    content: bytes | None, name: str, version: str, *, allow_unsigned: bool
) -> Statement | None:
    """Return what the signature of a version says.

    Args:
        content: The signature's file; None where the version has none.
        name: The registered model; "" for any.
        version: Number of the version, or the directory of its files.
        allow_unsigned: Whether it may be unsigned, or signed by another key than the trusted ones.

    Returns:
        None for a version that is not signed by a trusted key and need not be.

    Raises:
        PipelineError: It must be signed but is not, or the signature is not right.
    """
    about = f"{name} version {version}" if name else version
    try:
        return read_statement(content, trusted_keys(), name)
    except UnknownKeyError as error:
        if allow_unsigned:
            return None
        raise PipelineError(
            f"{about} must be signed by a trusted key but {error}: the holder of a key signs it by `mnist-pipeline "
            "models sign VERSION`; --allow-unsigned, or registry.allow_unsigned=true of a run, takes it as it is."
        ) from None
    except SignatureError as error:
        raise PipelineError(f"{about} must be what was signed but {error}: choose another version.") from None


def check_signed(directory: Path, *, allow_unsigned: bool) -> None:
    """Check the signature of a version's files in a directory; without `MODEL_PUBLIC_KEYS` they need none.

    Raises:
        PipelineError: They must be signed but are not, or are not what was signed.
    """
    if not settings().model_public_keys:
        return
    file = directory / SIGNATURE_FILE
    content = file.read_bytes() if file.is_file() else None
    statement = signed_statement(content, "", str(directory), allow_unsigned=allow_unsigned)
    if statement and (problems := _differences(statement.files, version_digests(directory))):
        raise PipelineError(
            f"{directory} must hold what was signed but {'; '.join(problems)}: fetch the version again."
        )


def fetch_version(
    client: "MlflowClient", name: str, version: str, directory: Path, *, allow_unsigned: bool = False
) -> FetchedVersion:
    """Download a version into a directory, new or empty, and compare its files with what was registered.

    Raises:
        MlflowException: MLflow does not know the version.
        UnavailableError: MLflow or its store does not answer.
        PipelineError: The version must be signed but is not, or a tag breaks its rule.
    """
    from mlflow.artifacts import download_artifacts

    tags = version_tags(client.get_model_version(name, version).tags, name, version)
    directory.mkdir(parents=True, exist_ok=True)
    try:
        download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=str(directory))
    except mlflow_errors() as error:
        if is_outage(error) and not REFUSED.search(str(error)):
            raise UnavailableError(
                f"MLflow must hand out {name} version {version} but does not ({reason(error).rstrip('.')}): "
                "read the log of the server."
            ) from error
        return FetchedVersion("", 0, (f"its files cannot be fetched ({reason(error)})",))
    except OSError as error:
        if of_outage(error):
            raise
        return FetchedVersion("", 0, (f"its files cannot be fetched ({first_line(error)})",))
    file = directory / SIGNATURE_FILE
    statement = signed_statement(
        file.read_bytes() if file.is_file() else None, name, version, allow_unsigned=allow_unsigned
    )
    found, recorded = version_digests(directory), tags.model_files
    expected = statement.files if statement else recorded
    if expected is None:
        problem = "it carries no digests: it was not registered by this pipeline's register step"
        return FetchedVersion("", 0, (problem,))
    problems = _differences(expected, found)
    if statement and recorded not in (None, statement.files):
        problems += ("its tag model_files is not what was signed",)
    if statement and statement.run != tags.pipeline_run_id:
        problems += ("its tag pipeline_run_id is not what was signed",)
    return FetchedVersion(tags.pipeline_run_id, len(expected.items() & found.items()), problems)


def verified_lineage(
    client: "MlflowClient", name: str, version: str, *, allow_unsigned: bool = False
) -> Lineage | None:
    """Fetch the records kept with a version, and check them; None for one that was registered before records were kept.

    Raises:
        MlflowException: The registry does not answer.
        PipelineError: The version must be signed but is not, or a record is not what was registered.
    """
    from mlflow.artifacts import download_artifacts, list_artifacts

    uri = f"models:/{name}/{version}"
    tags = version_tags(client.get_model_version(name, version).tags, name, version)
    listed = {Path(found.path).name for found in list_artifacts(artifact_uri=uri)}
    with TemporaryDirectory() as scratch:
        directory = Path(scratch)
        for part in listed & {SIGNATURE_FILE, LINEAGE}:
            download_artifacts(artifact_uri=f"{uri}/{part}", dst_path=scratch)
        content = (directory / SIGNATURE_FILE).read_bytes() if SIGNATURE_FILE in listed else None
        statement = signed_statement(content, name, version, allow_unsigned=allow_unsigned)
        files = statement.files if statement else tags.model_files or {}
        records = {path: digest for path, digest in files.items() if path.startswith(f"{LINEAGE}/")}
        if not records:
            return None
        require_digests(directory, records, SIGNATURE_FILE if statement else "the registry")
        return Lineage.load(directory / LINEAGE)


def _differences(expected: dict[str, str], found: dict[str, str]) -> tuple[str, ...]:
    kinds = {
        "missing": expected.keys() - found.keys(),
        "added": found.keys() - expected.keys(),
        "changed": {path for path in expected.keys() & found.keys() if expected[path] != found[path]},
    }
    return tuple(f"{_listed(paths)} {what} since" for what, paths in kinds.items() if paths)


def _listed(paths: Iterable[str]) -> str:
    names = sorted(paths)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more + (" is" if len(names) == 1 else " are")
