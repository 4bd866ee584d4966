"""Arrays from npz archives of untrusted origin."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError, first_line


def read_npz(path: Path, keys: tuple[str, ...], name: str) -> list[NDArray[Any]]:
    """Read arrays from an npz archive.

    Args:
        path: The archive.
        keys: Names of the arrays.
        name: Name of the archive in error messages.

    Returns:
        The arrays, in the order of `keys`.

    Raises:
        PipelineError: It is no npz archive, is corrupt, lacks one of the arrays, or holds Python objects.
    """
    if not zipfile.is_zipfile(path):
        raise PipelineError(
            f"{name} must be an npz archive but is {path.stat().st_size} other bytes: fetch or write it again."
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in keys if key in archive}
    # On damaged bytes zipfile, zlib and numpy's header parser raise errors without a common base class.
    except Exception as error:
        raise PipelineError(
            f"{name} must be an intact npz archive but is not ({first_line(error)}): fetch or write it again."
        ) from error
    if missing := [key for key in keys if key not in arrays]:
        raise PipelineError(
            f"{name} must hold the arrays {', '.join(keys)} but lacks {', '.join(missing)}: write it again with all."
        )
    return list(arrays.values())
