"""Targets of fuzzing: records, states and models that are stored."""

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.reliability import hostile_files as files
from benchmarks.reliability.fuzz_documents import good_documents
from benchmarks.reliability.fuzz_target import Target, promise
from benchmarks.reliability.mutations import altered, encoded, mutated

MODEL = "components.common.model."


def _record(random: Random) -> tuple[str, bytes]:
    kind, document = random.choice(list(good_documents().items()))
    for _ in range(random.randint(0, 3)):
        document = altered(random, document)
    return kind, encoded(random, document)


def _load_record(given: tuple[str, bytes], directory: Path) -> None:
    from components.common.data.info import DatasetInfo
    from components.common.data.source import SourceInfo
    from components.common.model.judgement import Judgement
    from components.common.model.training_record import Training
    from components.common.plan.run import RunPlan

    kinds = {kind.__name__: kind for kind in (SourceInfo, DatasetInfo, Training, Judgement, RunPlan)}
    kind, content = given
    (directory / kinds[kind].FILE).write_bytes(content)
    kinds[kind].load(directory)


class _Session:
    """What a checkpoint is restored into."""

    def restore(self, arrays: list[Any], progress: dict[str, Any]) -> None:
        if [array.shape for array in arrays] != [(3, 4), (2,)] or progress != {"step": 1}:
            raise ValueError("another state")


@cache
def _good_checkpoint() -> bytes:
    content = io.BytesIO()
    np.savez(content, np.zeros((3, 4)), np.zeros(2), np.array(json.dumps({"step": 1})))
    return content.getvalue()


def _checkpoint(random: Random) -> bytes:
    if random.random() < 0.6:
        return mutated(random, _good_checkpoint())
    names = iter(("arr_0", "arr_1", "arr_2"))
    return files.zipped(random, lambda _: f"{next(names, 'more')}.npy", files.npy)


def _restore(content: bytes, directory: Path) -> None:
    from components.train.checkpoint import Checkpoint

    path = directory / "state.npz"
    path.write_bytes(content)
    with redirect_stdout(io.StringIO()):
        restored = Checkpoint(str(path)).restore(_Session())  # type: ignore[arg-type]
    promise(restored == path.exists(), "a state that is not used is set aside")


def _layers(random: Random) -> bytes:
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}, "registered_name": None}
    model = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer, layer]}}
    for _ in range(random.randint(0, 3)):
        model = altered(random, model)
    return files.zipped(
        random,
        lambda drawn: drawn.choice(("config.json", "model.weights.h5")),
        lambda _: encoded(random, model),
    )


def _check_layers(content: bytes, directory: Path) -> None:
    from components.common.model.keras_file import check_layers

    (directory / "model.keras").write_bytes(content)
    check_layers(directory / "model.keras")


@cache
def _good_onnx() -> bytes:
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in "xy"]
    weights = helper.make_tensor("w", TensorProto.FLOAT, (3, 3), [0.5] * 9)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", values[:1], values[1:], [weights]
    )
    return bytes(helper.make_model(graph).SerializeToString())


def _onnx(random: Random) -> bytes:
    return mutated(random, _good_onnx())


def _check_onnx(content: bytes, path: Path) -> None:
    from components.common.model.onnx_file import check_onnx_file

    check_onnx_file(content, path)


def _home_settings(content: bytes, directory: Path) -> None:
    from pipelines.local.home import Home
    from pipelines.local.home_settings import HomeSettings

    (directory / "platform.json").write_bytes(content)
    HomeSettings.of(Home(directory))


def _home_document(random: Random) -> bytes:
    good = {"secret_access_key": "0" * 40, "store_port": 5000, "mlflow_port": 5001}
    return encoded(random, altered(random, good))


def _texts(values: dict[str, Any]) -> dict[str, str]:
    """Return values as tags, which are texts."""
    return {name: value if isinstance(value, str) else repr(value)[:500] for name, value in values.items()}


def _tags(random: Random) -> dict[str, str]:
    config = json.dumps({"dropout": 0.1})
    good = {
        "recipe": "fast", "config": config, "dataset": "a", "data_digest": "0" * 64, "split_seed": "1",
        "raw_files": json.dumps({"train-images-idx3-ubyte": "0" * 64}), "stratify": "True", "fraction": "1.0",
        "weights_digest": "0" * 64, "reject_below": "0.5", "temperature": "1.0", "model_files": "{}",
    }  # fmt: skip
    changed = altered(random, good)
    return _texts(changed) if isinstance(changed, dict) else good


def _recorded(tags: dict[str, str], _: Path) -> None:
    from pipelines.models.reproduce import Recorded

    recorded = Recorded.from_tags(tags, "model", "1")
    promise(
        all("/" not in name and name not in {".", ".."} for name in recorded.raw.files), "no name is a path"
    )


@dataclass(frozen=True)
class _Entry:
    version: str
    creation_timestamp: int
    tags: Mapping[str, str]


def _entries(random: Random) -> list[_Entry]:
    found = []
    for number in range(random.randint(1, 6)):
        tags = {
            "before": str(number or ""),
            "after": str(number + 1),
            "action": "promote",
            "who": "a",
            "why": "b",
        }
        changed = altered(random, tags) if random.random() < 0.5 else tags
        if isinstance(changed, dict):
            found.append(_Entry(str(number + 1), number, _texts(changed)))
    return found


def _moves(entries: list[_Entry], _: Path) -> None:
    from components.common.model.signing import TrustedKeys
    from components.register.journal import champion_of, moves_of

    moves = moves_of("model", entries, TrustedKeys({}))
    promise(all(move.problem for move in moves), "a move that no trusted key signed is told")
    champion_of(moves)


RECORD_TARGETS = (
    Target(
        "records",
        ("components.common.record", "components.common.data.source", "components.common.data.info"),
        50_000,
        _record,
        _load_record,
        files=True,
    ),
    Target("checkpoints", ("components.train.checkpoint",), 20_000, _checkpoint, _restore, files=True),
    Target("layers of Keras files", (f"{MODEL}keras_file",), 20_000, _layers, _check_layers, files=True),
    Target("ONNX files", (f"{MODEL}onnx_file",), 50_000, _onnx, _check_onnx),
    Target(
        "platform.json",
        ("pipelines.local.home_settings",),
        20_000,
        _home_document,
        _home_settings,
        files=True,
    ),
    Target(
        "tags of versions", ("pipelines.models.reproduce", f"{MODEL}version_tags"), 60_000, _tags, _recorded
    ),
    Target("moves of the champion", ("components.register.journal",), 100_000, _entries, _moves),
)
