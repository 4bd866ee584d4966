"""What is fuzzed: for each parser, inputs that are nearly right, and the errors that it may raise."""

import io
import json
import re
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.reliability import hostile_files as files
from benchmarks.reliability.mutations import VALUES, altered, mutated, rewritten, text
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import StatedError

# A password or a signature in an address; it must be in no output.
CANARY = "c4nary"
SPEC = ImageSpec(8, 8, 1, ("a", "b"))


class PropertyError(Exception):
    """A promise about an answer is broken."""


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        name: What it reads.
        modules: The modules of the parser, whose lines are counted.
        cases: How many are tried.
        make: Draws an input.
        use: Reads it, in an empty directory where it needs one.
        refusals: Errors that are an answer.
    """

    name: str
    modules: tuple[str, ...]
    cases: int
    make: Callable[[Random], Any]
    use: Callable[[Any, Path], object]
    refusals: tuple[type[Exception], ...] = (StatedError,)
    files: bool = field(default=False)


def promise(kept: bool, what: str) -> None:
    """Raise `PropertyError` where a promise is broken."""
    if not kept:
        raise PropertyError(what)


# Data sets.


def _take_in(given: tuple[Mapping[str, bytes], dict[str, Any]], directory: Path) -> None:
    from components.common.plan.run import DataPlan
    from components.ingest.detect import recognize
    from components.ingest.form import Place
    from components.ingest.intake import take_in

    contents, options = given
    source = directory / "source"
    for name, content in contents.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    place = source / next(iter(contents)) if len(contents) == 1 else source
    plan = DataPlan(**options)
    for made in ("scratch", "raw"):
        (directory / made).mkdir()
    form = recognize(Place(place, place.as_uri()), plan, directory / "scratch")
    take_in(form, plan, directory / "raw")


def _options(random: Random) -> dict[str, Any]:
    if random.random() < 0.7:
        return {}
    return {"size": random.choice((None, 4, 9)), "transpose": random.choice((None, True)), "subset": "a"}


def _idx_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    names = [
        f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]
    packed = random.choice(("", "", ".gz"))
    return {name + packed: files.idx(random, "images" in name) for name in names}, _options(random)


def _npz_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    if random.random() < 0.3:
        return {"data.npz": _npz(random)}, _options(random)
    names = iter(
        random.choice((("x_train", "y_train", "x_test", "y_test"), ("images", "labels"), files.NAMES))
    )
    content = files.zipped(random, lambda _: f"{next(names, 'more')}.npy", _array)
    return {"data.npz": content}, _options(random)


def _array(random: Random) -> bytes:
    if random.random() < 0.5:
        return files.npy(random)
    return files.npy(random, random.choice(((6, 8, 8), (6,), (6, 1), (6, 8, 8, 3))), "|u1")


@cache
def _good_npz() -> bytes:
    content = io.BytesIO()
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (12, 8, 8), dtype=np.uint8), np.arange(12) % 2
    np.savez(content, x_train=images, y_train=labels, x_test=images[:4], y_test=labels[:4])
    return content.getvalue()


def _npz(random: Random) -> bytes:
    return mutated(random, _good_npz())


def _packed_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    if random.random() < 0.5:
        return {"data.tar": files.tarred(random)}, _options(random)
    content = files.zipped(random, lambda drawn: drawn.choice(files.PATHS), _small_picture)
    return {"data.zip": content}, _options(random)


def _small_picture(random: Random) -> bytes:
    kind = random.random()
    return files.png(random) if kind < 0.5 else files.picture(random) if kind < 0.8 else random.randbytes(9)


def _picture_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    names = (
        "a/1.png",
        "a/2.jpg",
        "b/1.png",
        "b/2.bmp",
        "b/notes.txt",
        "train/a/1.png",
        "test/b/1.png",
        "c.png",
    )
    chosen = random.sample(names, random.randint(2, 5))
    return {name: _small_picture(random) for name in chosen}, _options(random)


def _csv_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    names = random.choice((("data.csv",), ("train.csv", "test.csv"), ("data.csv.gz",)))
    return {name: files.table(random) for name in names}, _options(random)


@cache
def _good_tables() -> tuple[bytes, bytes]:
    """Return a Parquet file of pictures, and one of lists of numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random, found = Random(0), []
    pictures = [{"bytes": files.picture(random), "path": None} for _ in range(8)]
    for images in (pictures, [[[number] * 8] * 8 for number in range(8)]):
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b"]}}
        about = json.dumps({"info": {"features": features}}).encode()
        content = io.BytesIO()
        table = pa.table({"image": images, "label": [number % 2 for number in range(8)]})
        pq.write_table(table.replace_schema_metadata({b"huggingface": about}), content)
        found.append(content.getvalue())
    return found[0], found[1]


def _parquet_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    return {"data.parquet": mutated(random, random.choice(_good_tables()))}, _options(random)


@cache
def _good_arrow() -> bytes:
    import pyarrow as pa

    content = io.BytesIO()
    table = pa.table(
        {"image": [[[number] * 8] * 8 for number in range(8)], "label": [n % 2 for n in range(8)]}
    )
    with pa.ipc.new_stream(content, table.schema) as writer:
        writer.write_table(table)
    return content.getvalue()


def _saved_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    state = {
        "_data_files": [{"filename": "data-00000-of-00001.arrow"}],
        "_fingerprint": "x",
        "_format_type": None,
    }
    listed: Any = {"splits": ["train"]}
    if random.random() < 0.4:
        state = altered(random, state)
    if random.random() < 0.3:
        listed = altered(random, listed)
    arrow = mutated(random, _good_arrow()) if random.random() < 0.5 else _good_arrow()
    contents = {
        "dataset_dict.json": _json(random, listed),
        "train/state.json": _json(random, state),
        "train/dataset_info.json": b"{}",
        "train/data-00000-of-00001.arrow": arrow,
    }
    return contents, _options(random)


def _json(random: Random, value: Any) -> bytes:
    try:
        content = json.dumps(value).encode("utf-8", "surrogatepass")
    except RecursionError:
        content = b"[" * 5000
    return mutated(random, content, 2) if random.random() < 0.2 else content


# Pictures and arrays of predict, bodies of serve.


def _any_picture(random: Random) -> bytes:
    if random.random() < 0.4:
        return files.png(random)
    return mutated(
        random, files.picture(random, random.choice(("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")))
    )


def _read_picture(content: bytes, _: Path) -> None:
    from pipelines.models.pictures import Refusal, read_picture

    found = read_picture(content, SPEC if len(content) % 2 else MNIST_SPEC)
    promise(isinstance(found, Refusal) or found.dtype == np.uint8, "an image of uint8, or a refusal")


def _read_sources(content: bytes, directory: Path) -> None:
    from pipelines.models.sources import read_sources

    for name in ("array.npy", "picture.png"):
        (directory / name).write_bytes(content)
    for _ in read_sources([str(directory)], SPEC, None):
        pass


def _invocation(random: Random) -> bytes:
    image = [[random.randrange(256) for _ in range(8)] for _ in range(8)]
    key = random.choice(("inputs", "instances"))
    body = {key: random.choice(([image], {"image": [image]}))}
    return _json(random, altered(random, body) if random.random() < 0.9 else body)


def _parse_invocation(body: bytes, _: Path) -> None:
    from pipelines.models.invocations import parse_invocation

    promise(parse_invocation(body, SPEC).shape[1:] == SPEC.shape, "images of the model's shape")


# Records.


def _documents() -> dict[str, Any]:
    """Return a good document for each record, by the record's name."""
    spec = asdict(SPEC)
    raw = {
        "name": "a", "source": "file:///a", "version": "", "files": {"train-images-idx3-ubyte": "0" * 64},
        "counts": {"train": 1, "test": 1}, "batches": [], "digest": "0" * 64, "spec": spec, "form": "idx", "notes": [],
    }  # fmt: skip
    data = {
        "raw": raw, "split": {"seed": 1, "stratify": False, "fraction": 1.0}, "files": {"train_images.npy": "0" * 64},
        "counts": {"train": 1}, "class_counts": {"train": [1, 0]}, "digest": "0" * 64, "test_digest": "0" * 64,
        "format_version": 2,
    }  # fmt: skip
    epoch = dict.fromkeys(("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"), 1.0)
    training = {
        "recipe": "fast", "seed": 0, "config": {"dropout": 0.1}, "parameters": 1, "validation_accuracy": 1.0,
        "validation_loss": 0.1, "history": [epoch], "seconds": 1.0, "images_per_second": 1.0,
        "weights_digest": "0" * 64, "dataset": data, "runtime": {}, "provenance": {}, "environment": {},
    }  # fmt: skip
    judgement = {
        "training": training, "test_digest": "0" * 64, "candidate": "tuned", "action": "register", "reasons": ["x"],
        "verdict": "first", "temperature": 1.0, "reject_below": 0.5, "champion_version": None, "summary": "x",
    }  # fmt: skip
    return {
        "SourceInfo": raw,
        "DatasetInfo": data,
        "Training": training,
        "Judgement": judgement,
        "RunPlan": _plan(),
    }


@cache
def _plan() -> dict[str, Any]:
    from components.common.plan.run import RunPlan

    return RunPlan(run_id="1", run_name="one").model_dump(mode="json")


def _record(random: Random) -> tuple[str, bytes]:
    kind, document = random.choice(list(_documents().items()))
    for _ in range(random.randint(0, 3)):
        document = altered(random, document)
    return kind, _json(random, document)


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


def _prepared(random: Random) -> tuple[bytes, bytes]:
    images = files.npy(random, (6, 8, 8), "|u1") if random.random() < 0.5 else mutated(random, _good_array())
    return images, files.npy(random, (6,), "|u1") if random.random() < 0.3 else b""


@cache
def _good_array() -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros((6, 8, 8), np.uint8))
    return content.getvalue()


def _open_split(given: tuple[bytes, bytes], directory: Path) -> None:
    from components.common.data.dataset import open_split

    images, labels = given
    document = _documents()["DatasetInfo"] | {"counts": {"train": 6}}
    (directory / "dataset.json").write_text(json.dumps(document))
    (directory / "train_images.npy").write_bytes(images)
    (directory / "train_labels.npy").write_bytes(labels)
    open_split(directory, "train")


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
        lambda _: _json(random, model),
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
    return _json(random, altered(random, good))


# What a command line, a form or a registry says.


def _settings(random: Random) -> list[str]:
    from components.common.plan.resolve import OPTIONS, SHORT_FORMS, values_of
    from components.common.plan.run import RunPlan

    good = values_of(RunPlan(run_id="", run_name=""))
    found = []
    for _ in range(random.randint(1, 3)):
        name = random.choice((*OPTIONS, *SHORT_FORMS, "gpu_count", "tolerations", "node_selector"))
        name = rewritten(random, name) if random.random() < 0.1 else name
        value = altered(random, good.get(name, random.choice(VALUES)))
        try:
            written = value if isinstance(value, str) else json.dumps(value)
        except RecursionError:
            written = "[" * 5000
        written = rewritten(random, written) if random.random() < 0.3 else written
        found.append(f"{name}={written}" if random.random() < 0.95 else text(random))
    return found


def _resolve(settings: list[str], _: Path) -> None:
    from pipelines.parameters import request

    asked = request(settings)
    plan = asked.resolved().plan
    promise(plan.search.trials <= 10_000 and plan.seeds <= 1000, "bounded numbers")
    _promise_run_name(asked.run_name())


def _promise_run_name(name: str) -> None:
    promise(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}", name) is not None,
        f"a short and clean run name: {name!r}",
    )


def _plan_file(content: bytes, directory: Path) -> None:
    from pipelines.parameters import request

    path = directory / "plan.yaml"
    path.write_bytes(content)
    request(plan_file=path).resolved()


def _plan_document(random: Random) -> bytes:
    document = _plan()
    for _ in range(random.randint(1, 3)):
        document = altered(random, document)
    return _json(random, document)


def _space(random: Random) -> Any:
    from components.common.plan.space import SEARCH_SPACE

    found: Any = SEARCH_SPACE
    for _ in range(random.randint(1, 3)):
        found = altered(random, found)
    return found if isinstance(found, dict) else {"dropout": found}


def _ranges(space: dict[str, Any], _: Path) -> None:
    from components.common.plan.space import ranges
    from components.common.plan.training import TrainConfig

    ranges(space, TrainConfig())


def _cron(random: Random) -> str:
    fields = [
        random.choice(("*", "?", "5", "1-5", "*/10", "MON-FRI", "1,3", "0", "59", "61", "JAN"))
        for _ in range(random.randint(4, 7))
    ]
    expression = " ".join(fields)
    return rewritten(random, expression) if random.random() < 0.6 else expression


def _six_fields(expression: str, _: Path) -> None:
    from pipelines.cluster.cron import six_fields

    promise(len(six_fields(expression).split()) == 6, "six fields")


def _address(random: Random) -> str:
    """Return an address with a secret where one may stand: as user, password, in the query or the fragment."""
    scheme = random.choice(("http", "https", "https", "postgresql", "ftp", "HTTPS", "s3"))
    user = random.choice(
        (
            "",
            f"{CANARY}@",
            f"bob:{CANARY}@",
            f":{CANARY}@",
            f"{text(random, 4)}:{CANARY}@".replace("/", ""),
            f"a@b:{CANARY}@",
        )
    )
    host = random.choice(("host", "host:80", "[::1]", "[::1]:80", "127.0.0.1", "hôst.example", ""))
    path = random.choice(
        ("", "/", "/a.npz", "/a/2024/", f"/{rewritten(random, 'letters')}".replace(CANARY, ""))
    )
    query = random.choice(("", f"?sig={CANARY}", f"?{CANARY}", f"?a=b&X-Amz-Signature={CANARY}#x"))
    fragment = random.choice(("", f"#{CANARY}"))
    if scheme == "s3":
        # Such a key may hold a question mark.
        query = fragment = ""
    return f"{scheme}://{user}{host}{path}{query}{fragment}"


def _address_is_safe(address: str, _: Path) -> None:
    from components.common.plan.names import dataset_slug
    from components.common.storage.address import absolute_uri, shown
    from pipelines.parameters import request

    seen = [shown(address)]
    promise(shown(seen[0]) == seen[0], "what is shown stays as it is")
    for say in (absolute_uri, lambda given: request([f"data={given}"]).resolved().plan.data.source):
        try:
            kept = say(address)
        except StatedError as error:
            seen.append(str(error))
        else:
            # A fragment is not sent, and grants nothing.
            seen += [kept.partition("#")[0]] if say is not absolute_uri else []
    if dataset_slug(shown(address)):
        seen.append(dataset_slug(shown(address)))
    promise(not any(CANARY in told for told in seen), f"no secret in {seen}")


def _path(random: Random) -> str:
    return (
        text(random, 60)
        if random.random() < 0.5
        else rewritten(random, random.choice(("~/a/b", "/a/b", "a/../b", "env:DATA_URI")))
    )


def _path_is_refused_or_found(path: str, _: Path) -> None:
    from components.common.storage.address import absolute_uri
    from pipelines.parameters import request

    _promise_run_name(request([f"data={path}"]).run_name())
    absolute_uri(path)


def _lines(random: Random) -> list[str]:
    good = (
        "Executing task 'ingest'", "Task 'ingest' finished with status SUCCESS", "[ingest] error: x", "[train] 1",
        "Task 'train' finished with status FAILURE", "\x1b[36mExecuting task 'train'\x1b[0m", "----", "",
    )  # fmt: skip
    lines = [random.choice(good) for _ in range(random.randint(1, 8))]
    return [rewritten(random, line) if random.random() < 0.4 else line for line in lines]


def _follow(lines: list[str], _: Path) -> None:
    from pipelines.local.progress import Progress

    progress = Progress()
    for _line in progress.lines(iter(lines)):
        pass
    progress.finish(1)
    promise(not any(step.status == "RUNNING" for step in progress.steps), "no step goes on after the end")


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


INGEST, DATA, PLAN = "components.ingest.", "components.common.data.", "components.common.plan."
TARGETS = (
    Target("data set: idx", (f"{DATA}idx", f"{INGEST}forms.idx"), 20_000, _idx_set, _take_in, files=True),
    Target("data set: npz", (f"{INGEST}npy", f"{INGEST}forms.npz"), 20_000, _npz_set, _take_in, files=True),
    Target(
        "data set: zip, tar",
        (f"{INGEST}forms.archives", f"{INGEST}tar_headers", f"{INGEST}zip_list", f"{INGEST}picture_files"),
        20_000, _packed_set, _take_in, files=True,
    ),
    Target("data set: pictures", (f"{INGEST}forms.pictures", f"{INGEST}sizes"), 10_000, _picture_set, _take_in, files=True),
    Target("data set: CSV", (f"{INGEST}forms.delimited", f"{INGEST}tables"), 10_000, _csv_set, _take_in, files=True),
    Target("data set: Parquet", (f"{INGEST}forms.parquet", f"{INGEST}tables"), 10_000, _parquet_set, _take_in, files=True),
    Target("data set: saved by datasets", (f"{INGEST}forms.saved",), 10_000, _saved_set, _take_in, files=True),
    Target("prepared arrays", (f"{DATA}dataset",), 10_000, _prepared, _open_split, files=True),
    Target("pictures of predict", (f"{DATA}picture", f"{DATA}png", "pipelines.models.pictures"), 40_000, _any_picture, _read_picture),
    Target("arrays of predict", ("pipelines.models.sources",), 20_000, files.npy, _read_sources, files=True),
    Target("bodies of serve", ("pipelines.models.invocations",), 50_000, _invocation, _parse_invocation),
    Target("records", ("components.common.record", f"{DATA}source", f"{DATA}info"), 50_000, _record, _load_record, files=True),
    Target("checkpoints", ("components.train.checkpoint",), 20_000, _checkpoint, _restore, files=True),
    Target("layers of Keras files", ("components.common.model.keras_file",), 20_000, _layers, _check_layers, files=True),
    Target("ONNX files", ("components.common.model.onnx_file",), 50_000, _onnx, _check_onnx),
    Target("platform.json", ("pipelines.local.home_settings",), 20_000, _home_document, _home_settings, files=True),
    Target("options", ("pipelines.parameters", f"{PLAN}resolve", f"{PLAN}section", f"{PLAN}names"), 60_000, _settings, _resolve),
    Target("plan files", ("pipelines.parameters",), 10_000, _plan_document, _plan_file, files=True),
    Target("search spaces", (f"{PLAN}space",), 150_000, _space, _ranges),
    Target("cron expressions", ("pipelines.cluster.cron",), 250_000, _cron, _six_fields),
    Target("addresses", ("components.common.storage.address",), 60_000, _address, _address_is_safe),
    Target("paths and run names", (f"{PLAN}names",), 40_000, _path, _path_is_refused_or_found),
    Target("lines of progress", ("pipelines.local.progress",), 150_000, _lines, _follow),
    Target("tags of versions", ("pipelines.models.reproduce", "components.common.model.version_tags"), 60_000, _tags, _recorded),
    Target("moves of the champion", ("components.register.journal",), 100_000, _entries, _moves),
)  # fmt: skip
