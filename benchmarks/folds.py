"""`python -m benchmarks.folds`: variants of a recipe, compared on all images but those of the test split.

Every variant is trained once for each fold, on the others, and answers the fold: all 60,000 images of MNIST count.
With five folds a training has as many images as the training split. On the 12,000 of the validation split, two
trainings of recipe `best` that differ in their seed alone differ by several of some 35 errors.
"""

import argparse
import hashlib
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.page import table_lines
from benchmarks.prepare import prepare
from benchmarks.process import call
from components.common.cores import cores
from components.common.data.dataset import Split, open_split
from components.common.plan.training import RECIPES

SPLIT_SEED = 23


def answer_fold(
    development: str, recipe: str, changes: dict[str, Any], images: int, fold: list[int], target: str
) -> None:
    """Train on all folds but one, and write the seconds of it and the probabilities for that one.

    Args:
        development: Directory with the prepared data.
        recipe: Name of the recipe.
        changes: Options that differ from the recipe's. The fold is added to the seed.
        images: Most images to train on; 0 for all.
        fold: Number of the fold, and of all folds.
        target: The file to write.
    """
    from components.train.model import build_model
    from components.train.runtime import start_tensorflow
    from components.train.session import Session

    start_tensorflow(shards=cores())
    config = RECIPES[recipe].differing(**changes)
    own, count = fold
    config = config.differing(seed=config.seed + own)
    pool = _pool(Path(development))
    folds = _folds(len(pool.labels), count)
    others = np.concatenate([rows for number, rows in enumerate(folds) if number != own])
    train, held_out = (_rows(pool, rows) for rows in (others[: images or None], folds[own]))
    started = time.perf_counter()
    session = Session(train, held_out, config)
    session.run(lambda _: None)
    seconds = time.perf_counter() - started
    model = build_model(config, pool.spec)
    model.set_weights(session.model.get_weights())
    np.savez(target, probabilities=model.predict(held_out.images, batch_size=512, verbose=0), seconds=seconds)


def compared(labels: NDArray[Any], answers: dict[str, tuple[float, NDArray[Any]]]) -> list[list[str]]:
    """Return a row for each variant: seconds, errors, and how many fewer they are than those of the first.

    The standard error is that of the difference of paired answers: the images that one of both gets wrong.

    Args:
        labels: The right answers, N.
        answers: Seconds of a training, and probabilities, N x classes, by the variant's name.
    """
    wrong = {name: own.argmax(axis=1) != labels for name, (_, own) in answers.items()}
    first = next(iter(wrong.values()))
    rows = []
    for name, own in wrong.items():
        fewer, differing = int(first.sum() - own.sum()), int((first != own).sum())
        spread = math.sqrt(differing - fewer**2 / len(labels))
        difference = "" if own is first else f"{fewer} ± {spread:.0f}"
        rows.append(
            [name, f"{answers[name][0]:.0f}", str(int(own.sum())), f"{1 - own.mean():.5f}", difference]
        )
    return rows


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.folds", description=__doc__)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument(
        "variants",
        nargs="*",
        default=[{}],
        type=_variant,
        help='options that differ, such as {"epochs": 26}; "images": most images to train on; {} is the recipe',
    )
    parser.add_argument("--folds", type=int, choices=range(2, 101), metavar="2 to 100", default=5)
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("build/folds"),
        help="keeps each training's answers; take another one after a change of the code",
    )
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        development, _ = prepare(Path(scratch), options.data)
        pool = _pool(development)
        folds = _folds(len(pool.labels), options.folds)
        answers: dict[str, tuple[float, NDArray[Any]]] = {}
        for variant in options.variants:
            found = [_answered(options, variant, development, fold) for fold in range(len(folds))]
            probabilities = np.empty((len(pool.labels), len(pool.spec.classes)), np.float32)
            for rows, (_, own) in zip(folds, found, strict=True):
                probabilities[rows] = own
            answers[json.dumps(variant)] = statistics.median(seconds for seconds, _ in found), probabilities
            print(" | ".join(compared(pool.labels, answers)[-1]), flush=True)
    if len(answers) > 1:
        times, each = zip(*answers.values(), strict=True)
        answers["mean answer of all"] = sum(times), np.mean(each, axis=0)
    columns = ["variant", "seconds", f"errors of {len(pool.labels)}", "accuracy", "fewer than the first"]
    print(*table_lines(columns, compared(pool.labels, answers)), sep="\n")
    return 0


def _variant(text: str) -> dict[str, Any]:
    """Return the options that differ; what is not an object in JSON is refused by the parser."""
    variant = json.loads(text)
    if not isinstance(variant, dict):
        raise argparse.ArgumentTypeError(
            f'a variant must be an object such as {{"epochs": 26}} but is {text}'
        )
    return variant


def _answered(
    options: argparse.Namespace, variant: dict[str, Any], development: Path, fold: int
) -> tuple[float, NDArray[Any]]:
    """Return the seconds of a training and its probabilities; what an earlier call left is used again."""
    changes = {name: value for name, value in variant.items() if name != "images"}
    config = RECIPES[options.recipe].differing(**changes)
    images = variant.get("images", 0)
    key = hashlib.sha256(
        f"{config.digest()} {options.data} {images} {fold} {options.folds}".encode()
    ).hexdigest()[:16]
    file = options.work / f"{key}.npz"
    if not file.exists():
        unfinished = file.with_name(f"unfinished-{file.name}")
        call(
            "benchmarks.folds:answer_fold",
            str(development),
            options.recipe,
            changes,
            images,
            (fold, options.folds),
            str(unfinished),
        )
        unfinished.rename(file)
    with np.load(file) as saved:
        return float(saved["seconds"]), saved["probabilities"]


def _pool(development: Path) -> Split:
    """Return all images of the development data."""
    train, validation = (open_split(development, name) for name in ("train", "validation"))
    images = np.concatenate([train.images, validation.images])
    return Split(images, np.concatenate([train.labels, validation.labels]), train.spec)


def _folds(images: int, count: int) -> list[NDArray[np.intp]]:
    """Return the rows of each fold."""
    return np.array_split(np.random.default_rng(SPLIT_SEED).permutation(images), count)


def _rows(pool: Split, rows: NDArray[np.intp]) -> Split:
    return Split(pool.images[rows], pool.labels[rows], pool.spec)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
