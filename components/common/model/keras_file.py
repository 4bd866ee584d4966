"""Keras files, of which nothing is built before all layers are known to be harmless."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.bounds import LARGEST_LAYERS, LARGEST_MODEL, require_within
from components.common.compat.keras import import_keras
from components.common.errors import PipelineError, first_line
from components.common.notices import without_notices

if TYPE_CHECKING:
    from keras import Model

CONFIG = "config.json"
# Classes of a model that may be built, by module, as the file names them. These are the classes of this project's
# recipes; `Reshape` is that of versions registered by release 0.1.0. Add here what your own network uses.
KNOWN_CLASSES = {
    "keras": {"DTypePolicy", "Sequential"},
    "keras.initializers": {"Constant", "GlorotUniform", "Ones", "VarianceScaling", "Zeros"},
    "keras.layers": {
        "Average",
        "BatchNormalization",
        "Conv2D",
        "Cropping2D",
        "Dense",
        "Dropout",
        "Flatten",
        "GlobalAveragePooling2D",
        "InputLayer",
        "MaxPooling2D",
        "ReLU",
        "Rescaling",
        "Reshape",
        "Softmax",
    },
    "keras.src.models.functional": {"Functional"},
    "keras.src.ops.numpy": {"Roll"},
}
# Not a class but a tensor between layers.
TENSOR = "__keras_tensor__"


def load_keras_file(path: Path) -> "Model":
    """Load a model, without what trained it.

    Raises:
        PipelineError: The file is damaged or too large, or a class in it is not one of `KNOWN_CLASSES`.
    """
    with without_notices():
        import_keras()
    from keras.saving import load_model

    check_layers(path)
    try:
        return load_model(path, compile=False, safe_mode=True)
    # Damaged HDF5 and JSON content raises errors without a common base class.
    except Exception as error:
        raise _unreadable(path, first_line(error)) from error


def check_layers(path: Path) -> None:
    """Check that a model is made of `KNOWN_CLASSES`; nothing is built, imported or unpacked to the disk.

    Raises:
        PipelineError: It is not, or the file is damaged or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            require_within(
                size, LARGEST_MODEL, f"the content of {path} in bytes", "it is no model of this pipeline"
            )
            with archive.open(CONFIG) as file:
                content = file.read(LARGEST_LAYERS + 1)
        require_within(
            len(content), LARGEST_LAYERS, f"{CONFIG} of {path} in bytes", "it is no model of this pipeline"
        )
        unknown = sorted({name for name in _classes(json.loads(content)) if not _is_known(name)})
    except PipelineError:
        raise
    # The zip library raises errors without a common base class for damaged archives.
    except Exception as error:
        raise _unreadable(path, first_line(error)) from error
    if unknown:
        module, name, _ = unknown[0]
        raise PipelineError(
            f"{path} must be made of the layers in components/common/model/keras_file.py but has "
            f"{f'{module}.{name}'[:100]!r}: add it there if the network is yours."
        )


def _classes(config: Any) -> Iterator[tuple[str, str, str]]:
    """Yield module, class and registered name of every object in the description of a model."""
    waiting = [config]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if "class_name" in found:
                names = (found.get(key) for key in ("module", "class_name", "registered_name"))
                module, name, registered = (str(value or "") for value in names)
                yield module, name, registered
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _is_known(names: tuple[str, str, str]) -> bool:
    module, name, registered = names
    if (module, name) == ("", TENSOR):
        return True
    return name in KNOWN_CLASSES.get(module, ()) and registered in {"", name}


def _unreadable(path: Path, reason: str) -> PipelineError:
    return PipelineError(
        f"{path} must be a readable Keras model but is not ({reason.removesuffix('.')}): "
        "restore it or train it again."
    )
