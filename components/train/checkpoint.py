"""State of an unfinished training, as one file or object."""

import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.data.npy import stored_arrays
from components.common.errors import PipelineError, StatedError, UnavailableError, first_line, of_outage
from components.common.narration import say
from components.common.storage.files import DAMAGED, written_file
from components.common.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from components.train.session import Session


class Checkpoint:
    """The place of one session's saved state; a crash in the middle of saving leaves the previous state.

    Args:
        location: A path, or `s3://bucket/key` in the object store that S3_ENDPOINT_URL names.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._store: ObjectStore | None = None
        if location.startswith("s3://"):
            self._store, self._key = ObjectStore.for_uri(location)

    def save(self, session: "Session") -> None:
        """Save the session's state in place of the previous one."""
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
        """Bring a new session of the same data and configuration to the saved state.

        A saved state is a cache. One that is damaged is put aside, and said to be, and the session stays new.

        Returns:
            Whether there was a sound state.

        Raises:
            PipelineError: This process may not read or move the file.
            UnavailableError: The store or the disk does not hand the state out.
        """
        content = self._content()
        if content is None:
            return False
        try:
            # From memory, so that an error of the disk is not taken for damage.
            *arrays, progress = stored_arrays(content)
            session.restore(arrays, json.loads(str(progress)))
        except Exception as error:
            if of_outage(error):
                raise
            # A damaged zip file or array header raises errors of a dozen kinds.
            self._set_aside(first_line(error)[:200])
            return False
        return True

    def _content(self) -> bytes | None:
        """Return the saved state; None where there is none."""
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(self._location)
            if self._store:
                path = Path(scratch, "state.npz")
                self._store.download(self._key, path)
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                kind = PipelineError if isinstance(error, PermissionError) else UnavailableError
                raise kind(
                    f"{self._location} must be a checkpoint that can be read but is not ({error.strerror}): mend that, "
                    "or delete it to start the training again."
                ) from error

    def _set_aside(self, reason: str) -> None:
        if self._store:
            try:
                self._store.delete(self._key)
                what = "is deleted"
            except StatedError:
                # A store may refuse to delete. The training would meet the same object at each attempt.
                what = "cannot be deleted: it stays until the next save replaces it"
        else:
            path = Path(self._location)
            aside = path.with_name(f"{path.name}{DAMAGED}")
            try:
                path.replace(aside)
            except OSError as error:
                raise PipelineError(
                    f"{path} must be a checkpoint that can be read but is not ({reason}), and cannot be moved "
                    f"({error.strerror}): delete it to start the training again."
                ) from error
            what = f"is now {aside.name}"
        say(
            "checkpoint",
            f"{self._location} is no state of this training ({reason}) and {what}; the training begins anew",
        )

    def delete(self) -> None:
        """Delete the saved state, if there is one."""
        if self._store:
            self._store.delete(self._key)
        else:
            Path(self._location).unlink(missing_ok=True)


def _write(path: Path, arrays: list[Any], progress: dict[str, Any]) -> None:
    content = io.BytesIO()
    np.savez(content, *arrays, np.array(json.dumps(progress)))
    path.write_bytes(content.getvalue())
