"""The comparison of variants of a recipe over folds."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import folds


def test_errors_are_compared_image_by_image() -> None:
    labels = np.array([0, 1, 1, 0, 1, 0])
    right = np.eye(2)[labels]
    first, second = right.copy(), right.copy()
    first[:3] = 1 - first[:3]
    second[2:4] = 1 - second[2:4]

    rows = folds.compared(labels, {"first": (1.4, first), "second": (2.6, second)})

    # Three images differ: two are gained, one is lost.
    assert rows == [["first", "1", "3", "0.50000", ""], ["second", "3", "2", "0.66667", "1 ± 2"]]


def test_each_image_is_answered_once_and_what_was_measured_is_used_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variant = '{"images": 600, "epochs": 6, "min_steps": 0, "batch_size": 32}'
    arguments = ["fast", variant, "--data", "digits", "--folds", "2", "--work", str(tmp_path)]

    assert folds.main(arguments) == 0

    printed = capsys.readouterr().out
    files = sorted(tmp_path.iterdir())
    count = int(printed.split("errors of ")[1].split()[0])
    assert sum(len(np.load(file)["probabilities"]) for file in files) == count > 1200
    assert float(printed.splitlines()[0].split(" | ")[3]) > 0.9

    written = [file.stat().st_mtime_ns for file in files]
    assert folds.main(arguments) == 0
    assert capsys.readouterr().out == printed
    assert [file.stat().st_mtime_ns for file in sorted(tmp_path.iterdir())] == written


@pytest.mark.parametrize("wrong", [["26"], ["{"], ["--folds", "1"]])
def test_what_is_no_variant_or_no_split_is_refused(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        folds.main(["fast", *wrong])

    assert refused.value.code == 2
    assert wrong[-1] in capsys.readouterr().err
