"""The settings of an embedded platform that stay the same from one start to the next."""

import secrets
from pathlib import Path

from pydantic import Field

from components.common.errors import PipelineError
from components.common.record import Record
from components.common.storage.files import written_file
from pipelines.local.home import Home
from pipelines.local.process import free_port


class HomeSettings(Record):
    """Key and ports of a home's platform.

    Attributes:
        secret_access_key: Secret key of the store.
        store_port: Port of the store; another is used while it is not free.
        mlflow_port: Port of MLflow; another is used while it is not free.
    """

    FILE = "platform.json"

    secret_access_key: str = Field(min_length=1)
    store_port: int = Field(ge=1, le=65535)
    mlflow_port: int = Field(ge=1, le=65535)

    @classmethod
    def of(cls, home: Home) -> "HomeSettings":
        """Return the settings of a home; they are made on its first start. Call with the home's mutex held.

        Raises:
            PipelineError: The file holds something else.
        """
        path = home.path / cls.FILE
        if not path.exists():
            # Free ports instead of well-known ones, which two homes that start at once would both find free.
            made = cls(
                secret_access_key=secrets.token_hex(20), store_port=free_port(), mlflow_port=free_port()
            )
            made.save(home.path)
        try:
            return cls.load(home.path)
        except (PipelineError, OSError) as error:
            raise PipelineError(
                f"{path} must hold the platform's key and ports as they were written but does not: "
                "delete it, and the next start makes a new one; data and history stay."
            ) from error

    def save(self, directory: Path) -> None:
        """Write the file, which only this user can read."""
        with written_file(directory / self.FILE) as partial:
            partial.touch(0o600)
            partial.write_text(self.model_dump_json(indent=2), encoding="utf-8")
