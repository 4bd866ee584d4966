"""`mnist-pipeline data inspect` on every form of data and on damaged or odd ones, and a wrong path given to `run`."""

import gzip
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from pipelines.cli.main import main
from tests import made_forms
from tests.made_sets import MadeSet, coloured_shapes, letters, numbers, rings

Shown = tuple[int, str, str]
Inspect = Callable[..., Shown]


@pytest.fixture
def inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Run `data inspect` as the command line does; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    for name in ("S3_ENDPOINT_URL", "S3_BUCKET"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Shown:
        monkeypatch.setattr(sys, "argv", ["mnist-pipeline", "data", "inspect", *map(str, arguments)])
        # What a writer printed.
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return run


# The default asks for more images than these sets have.
FITTING = ("--set", "batch_size=16")
FORMS: dict[str, tuple[Callable[[], MadeSet], Callable[[MadeSet, Path], Path], str, str]] = {
    "emnist": (lambda: letters(260, 52), made_forms.write_emnist, "emnist", "idx"),
    "folders": (lambda: coloured_shapes(32, 100, 30), made_forms.write_folders, "shapes", "pictures"),
    "zip": (lambda: coloured_shapes(64, 100, 30), made_forms.write_zip, "shapes.zip", "pictures"),
    "medmnist": (lambda: rings(180, 45), made_forms.write_medmnist, "ringmnist.npz", "npz"),
    "keras": (lambda: numbers(500, 100), made_forms.write_keras, "numbers.npz", "npz"),
    "parquet": (lambda: coloured_shapes(32, 100, 30), made_forms.write_parquet, "hub", "parquet"),
    "saved": (lambda: coloured_shapes(32, 100, 30), made_forms.write_saved, "saved", "saved"),
    "kaggle": (lambda: letters(260, 52), made_forms.write_kaggle, "letters-csv", "csv"),
}


@pytest.mark.parametrize("named", FORMS)
def test_each_form_is_described(named: str, inspect: Inspect, tmp_path: Path) -> None:
    make, write, path, form = FORMS[named]
    data = make()
    address = write(data, tmp_path / path)

    code, out, err = inspect(address, "--json", "--sheet", "sheet.png", *FITTING)

    assert (code, err) == (0, "")
    found = json.loads(out)
    size = len(data.train) + (len(data.test) if named != "kaggle" else 0)
    assert found["form"] == form
    assert (found["spec"]["height"], found["spec"]["width"]) == data.train.shape[1:3]
    assert found["spec"]["channels"] == (data.train.shape[3] if data.train.ndim == 4 else 1)
    assert sum(found["counts"].values()) == size
    assert len(found["class_counts"]["train"]) == len(data.classes)
    assert sum(sum(counts.values()) for counts in found["class_counts"].values()) == size
    assert found["model"] == f"{found['name']}-cnn"
    assert found["sheet"] == "sheet.png"
    assert found["refusal"] == ""
    _check_sheet(tmp_path / "sheet.png", min(60, len(data.classes)))


def _check_sheet(path: Path, classes: int) -> None:
    """Check that each class has a row with an image in it."""
    with Image.open(path) as opened:
        assert opened.format == "PNG"
        sheet = np.asarray(opened.convert("RGB"))
    row = (sheet.shape[0] - 4) // classes
    # Names stand on the left; on the right of the first image nothing else but images is.
    for place in range(classes):
        images = sheet[4 + place * row : (place + 1) * row, -12 * row :]
        assert (images != 255).any(axis=2).mean() > 0.05, f"no image in row {place}"


def test_people_read_lines(inspect: Inspect, tmp_path: Path) -> None:
    address = made_forms.write_zip(coloured_shapes(64, 100, 30), tmp_path / "shapes.zip")
    code, out, _ = inspect(address, *FITTING)
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if not line.startswith(" ")}
    assert lines["form"].endswith(f"pictures, file://{address}")
    assert lines["name"].endswith("shapes, registered model shapes-cnn")
    assert lines["images"].endswith("64 x 64, colour")
    assert lines["classes"].startswith("classes   5, training images of each")
    assert "blue disc " in out
    assert "there is no test part" in lines["note"]
    assert lines["sheet"].endswith("contact-sheet.png")


def test_data_that_the_plan_does_not_fit_is_described_and_refused(inspect: Inspect, tmp_path: Path) -> None:
    address = made_forms.write_zip(coloured_shapes(64, 100, 30), tmp_path / "shapes.zip")
    code, out, _ = inspect(address, "--set", "batch_size=512")
    assert code == 1
    assert "refused   training.batch_size must be at most the " in out


def _arrays(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    made = {
        "x_train": rng.integers(0, 256, (100, 28, 28), dtype=np.uint8),
        "y_train": np.arange(100) % 5,
        "x_test": rng.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "y_test": np.arange(20) % 5,
    }
    return {**made, **changes}


def _npz(**changes: Any) -> Callable[[Path], Path]:
    def write(directory: Path) -> Path:
        arrays = {name: array for name, array in _arrays(**changes).items() if array is not None}
        np.savez(directory / "odd.npz", **arrays)
        return directory / "odd.npz"

    return write


def _other_arrays(directory: Path) -> Path:
    np.savez(directory / "odd.npz", weights=np.ones(3), bias=np.ones(1))
    return directory / "odd.npz"


def _empty(directory: Path) -> Path:
    (directory / "empty").mkdir()
    return directory / "empty"


def _single_idx(directory: Path) -> Path:
    made_forms.write_emnist(letters(52, 26), directory / "emnist")
    return directory / "emnist" / "emnist-letters-train-images-idx3-ubyte.gz"


def _half_idx(directory: Path) -> Path:
    path = _single_idx(directory)
    path.write_bytes(path.read_bytes()[:-500])
    return path.parent


def _truncated_zip(directory: Path) -> Path:
    path = made_forms.write_zip(coloured_shapes(32, 20, 5), directory / "shapes.zip")
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def _text(directory: Path) -> Path:
    (directory / "notes.txt").write_text("no data here\n")
    return directory / "notes.txt"


def _unlabelled_rows(directory: Path) -> Path:
    path = made_forms.write_kaggle(letters(52, 26), directory / "csv") / "train.csv"
    lines = path.read_text().splitlines(keepends=True)
    lines[3] = "," + lines[3].partition(",")[2]
    path.write_text("".join(lines))
    return path


def _wrong_pixel(directory: Path) -> Path:
    path = made_forms.write_kaggle(letters(52, 26), directory / "csv") / "train.csv"
    lines = path.read_text().splitlines(keepends=True)
    lines[3] = lines[3].partition(",")[0] + ",dark," + lines[3].split(",", 2)[2]
    path.write_text("".join(lines))
    return path


def _two_sets(directory: Path) -> Path:
    for name in ("first", "second"):
        made_forms.write_folders(coloured_shapes(32, 20, 10), directory / "both" / name)
    return directory / "both"


def _one_class(directory: Path) -> Path:
    path = made_forms.write_folders(coloured_shapes(32, 20, 10), directory / "shapes")
    for part in ("train", "test"):
        for name in ("blue square", "green disc", "red disc", "red square"):
            for file in (path / part / name).iterdir():
                file.unlink()
    return path


def _unknown_class(directory: Path) -> Path:
    path = made_forms.write_folders(coloured_shapes(32, 20, 10), directory / "shapes")
    (path / "test" / "red disc").rename(path / "test" / "pink disc")
    return path


def _damaged_picture(directory: Path) -> Path:
    path = made_forms.write_folders(coloured_shapes(32, 20, 10), directory / "shapes")
    file = sorted((path / "train" / "red disc").iterdir())[0]
    file.write_bytes(file.read_bytes()[:200])
    return path


def _not_a_number() -> Any:
    images = np.random.default_rng(0).random((100, 28, 28))
    images[7, 3, 3] = np.nan
    return images


ODD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a missing file": (lambda directory: directory / "nowhere.npz", "nowhere.npz does not exist"),
    "an empty directory": (_empty, "is a directory that holds nothing"),
    "a single idx file": (_single_idx, "but is one of these files: give "),
    "a truncated idx file": (_half_idx, "must be intact gzip but is not"),
    "an npz of other arrays": (_other_arrays, "but holds weights, 3 of type float64; bias"),
    "images without labels": (_npz(y_train=None), "y_train"),
    "one class": (_one_class, "must be at least two classes but the training part has only blue disc"),
    "a class of the test part alone": (_unknown_class, "pink disc"),
    "pixels that are no numbers": (_npz(x_train=_not_a_number()), "image 7"),
    "pixels beyond 255": (_npz(x_train=_arrays()["x_train"] * 7.3), "pixels"),
    "several labels an image": (_npz(y_train=np.ones((100, 5), int)), "images with several labels cannot be learned"),
    "too few labels": (_npz(y_train=np.arange(99) % 5), "99 labels"),
    "rows without a label": (_unlabelled_rows, "each image must have a label but 1 of 52 have none"),
    "a text for a pixel": (_wrong_pixel, "line 4"),
    "parts of different sizes": (_npz(x_test=np.zeros((20, 32, 32), np.uint8)), "must be of one size"),
    "a truncated zip": (_truncated_zip, "damaged"),
    "a text file": (_text, "is a file of 13 bytes"),
    "two data sets": (_two_sets, "must hold one data set but holds 2"),
    "a damaged picture": (_damaged_picture, "red disc"),
    "images too small": (_npz(x_train=_arrays()["x_train"][:, :3, :3], x_test=_arrays()["x_test"][:, :3, :3]), "3 x 3"),
}  # fmt: skip


@pytest.mark.parametrize("named", ODD)
def test_damaged_and_odd_data_gets_one_clear_line(named: str, inspect: Inspect, tmp_path: Path) -> None:
    write, message = ODD[named]
    code, out, err = inspect(write(tmp_path))
    said = err or next(line for line in out.splitlines() if line.startswith("refused"))
    assert code == 1
    assert message in said
    assert len(err.splitlines()) == (0 if out else 1)
    assert ": " in said.partition(" but ")[2], "no way out"
    assert said.rstrip().endswith(".")


VARIANTS: dict[str, Callable[[Any], Any]] = {
    "fractions": lambda array: (array / 255).astype(np.float32) if array.ndim > 1 else array,
    "whole numbers as fractions": lambda array: array.astype(float),
    "wide numbers": lambda array: array.astype(np.int64),
    "an axis for the channel": lambda array: array[..., None],
    "one-hot labels": lambda array: array if array.ndim > 1 else np.eye(5)[array],
    "labels as text": lambda array: array if array.ndim > 1 else array.astype(str),
}


@pytest.mark.parametrize("named", VARIANTS)
def test_usual_variants_of_arrays_are_the_same_data(named: str, inspect: Inspect, tmp_path: Path) -> None:
    found = []
    (tmp_path / "data").mkdir()
    for name, variant in (("plain", None), ("variant", VARIANTS[named])):
        arrays = {key: variant(array) if variant else array for key, array in _arrays().items()}
        np.savez(tmp_path / "data" / "data.npz", **arrays)
        code, out, err = inspect("data/data.npz", "--json", "--sheet", f"{name}.png", *FITTING)
        assert (code, err) == (0, "")
        found.append({**json.loads(out), "sheet": (tmp_path / f"{name}.png").read_bytes()})
    # A name of the digest of all pixels and labels, since the address says nothing.
    assert found[0]["name"].startswith("data-")
    assert found[0] == found[1]


def _idx(array: NDArray[np.uint8]) -> bytes:
    """Return an idx file."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + np.ascontiguousarray(array).tobytes()


def _digits(directory: Path, *, turned: bool) -> Path:
    """Write scikit-learn's digits under MNIST's names, 28 x 28, as EMNIST stores them where `turned`."""
    bunch = load_digits()
    images = np.stack(
        [
            np.asarray(Image.fromarray((image * 15.9).astype(np.uint8)).resize((28, 28)))
            for image in bunch.images
        ]
    )
    images = images.swapaxes(1, 2) if turned else images
    directory.mkdir()
    for part, rows in (("train", slice(0, 1500)), ("t10k", slice(1500, None))):
        for kind, array in (("images-idx3", images[rows]), ("labels-idx1", bunch.target[rows])):
            path = directory / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(_idx(array.astype(np.uint8)), 1))
    return directory


def test_digits_that_lie_on_their_side_are_turned_and_said(inspect: Inspect, tmp_path: Path) -> None:
    upright = inspect(_digits(tmp_path / "mnist-upright", turned=False), "--json", "--sheet", "upright.png")
    turned = inspect(_digits(tmp_path / "mnist-turned", turned=True), "--json", "--sheet", "turned.png")
    assert (upright[0], turned[0]) == (0, 0)
    assert not json.loads(upright[1])["notes"]
    (note,) = json.loads(turned[1])["notes"]
    assert "rows and columns of every image were exchanged: the digits lie on their side" in note
    assert (tmp_path / "upright.png").read_bytes() == (tmp_path / "turned.png").read_bytes()


def test_the_owner_decides_whether_digits_are_turned(inspect: Inspect, tmp_path: Path) -> None:
    address = _digits(tmp_path / "mnist-turned", turned=True)
    code, out, _ = inspect(address, "--json", "--set", "data.transpose=false")
    assert code == 0
    (note,) = json.loads(out)["notes"]
    assert "the digits look transposed" in note


def test_sets_in_directories_of_the_same_name_have_models_of_their_own(
    inspect: Inspect, tmp_path: Path
) -> None:
    models = set()
    for place, owner in enumerate(("FashionMNIST", "KMNIST", "a/data", "b/data")):
        address = tmp_path / owner / "raw"
        address.mkdir(parents=True)
        np.savez(
            address / "raw.npz", **_arrays(y_train=np.arange(100) % (5 + place), y_test=np.arange(20) % 5)
        )
        models.add(json.loads(inspect(address, "--json")[1])["model"])
    assert len(models) == 4


def test_data_of_the_size_of_mnist_takes_about_a_second(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (70_000, 28, 28), dtype=np.uint8)
    directory = tmp_path / "noise"
    directory.mkdir()
    for part, images in (("train", noise[:60_000]), ("t10k", noise[60_000:])):
        for kind, array in (
            ("images-idx3", images),
            ("labels-idx1", np.arange(len(images), dtype=np.uint8) % 10),
        ):
            (directory / f"{part}-{kind}-ubyte").write_bytes(_idx(array))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = _command("data", "inspect", directory, "--sheet", tmp_path / "sheet.png")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (shown.returncode, shown.stderr) == (0, "")
    # Of the processor, which other processes do not lengthen as much as the time on the wall; it takes 1.4 s.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


def _command(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_wrong_path_or_other_content_is_told_before_any_server_starts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for command in (("run", "--home", home, "--data"), ("data", "inspect")):
        refused = _command(*command, tmp_path / "nowhere")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("error: data must be ")
        assert f"{tmp_path}/nowhere does not exist: " in refused.stderr
        assert refused.stderr.count("\n") == 1
    for write, message in (ODD["an empty directory"], ODD["an npz of other arrays"], ODD["a text file"]):
        refused = _command("run", "--home", home, "--data", write(tmp_path))
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
        assert message in refused.stderr
    # The servers keep their settings, data and logs there from their start on.
    assert not home.exists()
