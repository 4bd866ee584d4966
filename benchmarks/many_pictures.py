"""Pictures of a directory a second: `mnist-pipeline predict`, and Keras asked in one process."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.process import REPOSITORY, call
from benchmarks.setting import Floor, Result, Results, Setting

OURS, KERAS = "mnist-pipeline predict", "Classifier, one picture after the other"
COUNT, QUICK_COUNT = 10_000, 200
ROUNDS, QUICK_ROUNDS = 5, 1
TIMES_FASTER = 2.5
BATCH = 256


def measure(setting: Setting, _: Results) -> Result:
    count, rounds = (QUICK_COUNT, QUICK_ROUNDS) if setting.quick else (COUNT, ROUNDS)
    model, pictures = str(setting.work / "model"), str(setting.work / "pictures")
    training = {"epochs": 0.1, "min_steps": 0}
    call("benchmarks.training:train_once", str(setting.development), "fast", training, model)
    call(
        "benchmarks.many_pictures:prepare",
        model,
        str(setting.development),
        str(setting.test),
        pictures,
        count,
    )
    seconds: dict[str, list[float]] = {OURS: [], KERAS: []}
    for _round in range(rounds):
        seconds[OURS].append(_command_seconds("predict", pictures, "--directory", model, "--format", "csv"))
        seconds[KERAS].append(call("benchmarks.many_pictures:ask_keras", model, pictures).seconds)
    rows = [
        [
            way,
            f"{statistics.median(own):.2f}",
            f"{min(own):.2f} to {max(own):.2f}",
            f"{count / statistics.median(own):.0f}",
        ]
        for way, own in seconds.items()
    ]
    faster = statistics.median(keras / ours for ours, keras in zip(*seconds.values(), strict=True))
    return Result(
        "Many pictures",
        f"{count} PNG files of the test split in one directory, from the start of a process to its end: reading, "
        "decoding, placing as MNIST's digits are, and the answers as CSV. Keras is asked in one process, "
        f"{BATCH} pictures at a time. {rounds} rounds with both ways in each, medians.",
        ["way", "seconds", "range", "pictures/s"],
        rows,
        [Floor("pictures a second: times Keras in one process", faster, TIMES_FASTER)],
        seconds,
    )


def _command_seconds(*command: str) -> float:
    started = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "pipelines.cli.main", *command],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr}")
    return time.perf_counter() - started


def prepare(model: str, development: str, test: str, pictures: str, count: int) -> None:
    """Give a model its ONNX file, and write pictures of the test split."""
    import numpy as np
    from PIL import Image

    from components.common.data.dataset import open_split
    from components.common.model.classifier import Classifier
    from components.evaluate.exchange import write_exchange

    write_exchange(
        Path(model), Classifier(Path(model)), open_split(Path(development), "validation").images[:BATCH]
    )
    images = open_split(Path(test), "test").images
    Path(pictures).mkdir()
    for number, image in enumerate(np.resize(images, (count, *images.shape[1:]))):
        Image.fromarray(image[..., 0]).save(Path(pictures, f"{number:05}.png"))


def ask_keras(model: str, pictures: str) -> int:
    """Read picture after picture, ask Keras, and write the answers nowhere; return their number."""
    import os

    import numpy as np

    from components.common.model.classifier import Classifier
    from pipelines.models.pictures import Refusal, read_picture

    classifier, answered = Classifier(Path(model)), 0
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        paths = sorted(Path(pictures).iterdir())
        for start in range(0, len(paths), BATCH):
            read = [read_picture(path.read_bytes(), classifier.spec) for path in paths[start : start + BATCH]]
            images = [image for image in read if not isinstance(image, Refusal)]
            for row in classifier.probabilities(np.stack(images)):
                nowhere.write(",".join(map(str, row)))
                answered += 1
    return answered
