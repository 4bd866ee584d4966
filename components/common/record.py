"""Records: frozen documents that a step writes beside its data and others read."""

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from components.common.errors import PipelineError

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Record(BaseModel):
    """A document of one JSON file; reading refuses whatever does not match the annotations.

    Attributes:
        FILE: Name of the file in its directory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    FILE: ClassVar[str]

    def save(self, directory: Path) -> None:
        """Write the file into an existing directory."""
        (directory / self.FILE).write_text(self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the file from a directory.

        Raises:
            PipelineError: It is missing, or breaks a rule.
        """
        path = directory / cls.FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise PipelineError(
                f"{path} must exist but does not: run the step that writes it first."
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "content"
            raise PipelineError(
                f"{path} must be as its step wrote it but {field}: {first['msg']}: run that step again."
            ) from error
