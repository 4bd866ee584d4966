"""The state of a training, kept as one file or object until the training ends."""

import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.errors import PipelineError
from components.common.storage.files import written_file
from components.common.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from components.train.session import Session


class Checkpoint:
    """Saves and restores one training; a crash in the middle of saving leaves the previous state.

    Args:
        location: A path, or s3://bucket/key in the object store that S3_ENDPOINT_URL names.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._store: ObjectStore | None = None
        if location.startswith("s3://"):
            self._store, self._key = ObjectStore.for_uri(location)

    def save(self, session: "Session") -> None:
        arrays, progress = session.state()
        if self._store:
            with tempfile.TemporaryDirectory() as scratch:
                _write(Path(scratch, "state.npz"), arrays, progress)
                self._store.upload(Path(scratch, "state.npz"), self._key)
            return
        path = Path(self._location)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_file(path) as partial:
            _write(partial, arrays, progress)

    def restore(self, session: "Session") -> bool:
        """Bring a new trainer of the same configuration to the saved state; False without one.

        Raises:
            PipelineError: What is saved cannot be read.
        """
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(self._location)
            if self._store:
                path = Path(scratch, "state.npz")
                self._store.download(self._key, path)
            if not path.exists():
                return False
            try:
                with np.load(path, allow_pickle=False) as saved:
                    *arrays, progress = saved.values()
                session.restore(arrays, json.loads(str(progress)))
            except (OSError, ValueError, KeyError) as error:
                reason = str(error).partition("\n")[0][:200]
                raise PipelineError(
                    f"{self._location} must be a checkpoint that can be read but is not ({reason}): "
                    "delete it to begin the training anew."
                ) from error
        return True

    def delete(self) -> None:
        if self._store:
            self._store.delete(self._key)
        else:
            Path(self._location).unlink(missing_ok=True)


def _write(path: Path, arrays: list[Any], progress: dict[str, Any]) -> None:
    content = io.BytesIO()
    np.savez(content, *arrays, np.array(json.dumps(progress)))
    path.write_bytes(content.getvalue())
