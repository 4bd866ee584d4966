"""Keras's import, without the packages that it imports only where they are installed."""

import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

from components.common.garbage import imports_stay

# Keras 3.15.1, and the older Keras in TensorFlow, import them for wrappers, galleries of images, data frames and sparse
# matrices, of which nothing is used here: a third of the time.
OPTIONAL = {"matplotlib", "pandas", "scipy", "sklearn"}
# TensorFlow's interfaces of older versions, which no training uses.
OLDER = "tensorflow._api.v2.compat"


class _Absent(MetaPathFinder):
    """Makes optional packages look as if they were not installed, to the thread that creates this alone.

    `OLDER` is imported when it is first used.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if threading.get_ident() != self._thread:
            return None
        if name in OPTIONAL:
            raise ModuleNotFoundError(f"{name} is left out of Keras's import", name=name)
        found = PathFinder.find_spec(name, path, target) if name == OLDER else None
        if found and found.loader:
            found.loader = LazyLoader(found.loader)
        return found


def import_keras() -> None:
    """Import Keras and TensorFlow; later imports of what Keras does without find it as always."""
    if {"keras", "tensorflow"} <= sys.modules.keys():
        return
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        with imports_stay():
            import keras  # noqa: F401
            import tensorflow as tf  # noqa: F401
    finally:
        sys.meta_path.remove(absent)
