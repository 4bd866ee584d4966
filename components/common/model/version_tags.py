"""Tags of a registered version that commands read; whoever may write to the registry may have written them."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError

from components.common.data.source import RawFile, SourceInfo
from components.common.errors import PipelineError
from components.common.model.judgement import REJECT_ALL
from components.common.record import Sha256
from components.common.storage.files import combined_digest


class VersionTags(BaseModel):
    """The tags; None where a version has no such tag. Versions of before records were kept have no more than tags.

    Attributes:
        model_files: SHA-256 of each file that was registered, by path.
        signing_key: Id of the key that signed the version.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    dataset: str | None = None
    data_source: str = ""
    data_version: str = ""
    raw_files: Json[dict[RawFile, Sha256]] | None = None
    split_seed: Annotated[int, Field(ge=0)] | None = None
    stratify: bool | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    config: Json[dict[str, Any]] | None = None
    recipe: str | None = None
    data_digest: str | None = None
    weights_digest: str | None = None
    git_sha: str = "unknown"
    reject_below: Annotated[float, Field(ge=0, le=REJECT_ALL)] | None = None
    pipeline_run_id: str = ""
    model_files: Json[dict[str, Sha256]] | None = None
    signing_key: str | None = None

    def source(self) -> SourceInfo | None:
        """Return the description of the raw data, as far as tags hold it; None where they do not name the data."""
        if self.dataset is None:
            return None
        files = self.raw_files or {}
        return SourceInfo(
            name=self.dataset,
            source=self.data_source,
            version=self.data_version,
            files=files,
            counts={},
            batches=(),
            digest=combined_digest(files),
        )


def version_tags(tags: Mapping[str, str], name: str, version: str) -> VersionTags:
    """Read the tags of a version of a registered model.

    Raises:
        PipelineError: One breaks its rule.
    """
    try:
        return VersionTags.model_validate(dict(tags))
    except ValidationError as error:
        first = error.errors()[0]
        raise PipelineError(
            f"the tag {first['loc'][0]!r} of {name} version {version} must be as it was registered but is not "
            f"({first['msg']}): choose another version, and look for who changed it."
        ) from None
