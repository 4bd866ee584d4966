"""Arrays from npz archives, which may come from anyone."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError


def read_npz(path: Path, keys: tuple[str, ...], name: str) -> list[NDArray[Any]]:
    """Read the arrays `keys` of an npz archive that is called `name` in errors.

    Raises:
        PipelineError: It is no npz archive, is corrupt, lacks one of the arrays, or holds Python objects.
    """
    if not zipfile.is_zipfile(path):
        raise PipelineError(f"{name}: must be an npz archive but is {path.stat().st_size} other bytes")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in keys if key in archive}
    # What zipfile, zlib and numpy's header parser raise on damaged bytes has no common base.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise PipelineError(f"{name}: corrupt npz archive: {reason}; fetch or write it again") from error
    if missing := [key for key in keys if key not in arrays]:
        raise PipelineError(f"{name}: must hold the arrays {', '.join(keys)} but lacks {', '.join(missing)}")
    return list(arrays.values())
