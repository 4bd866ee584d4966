"""The benchmark of reading pictures, in its quick mode."""

from pathlib import Path

from benchmarks import pictures
from benchmarks.setting import Setting
from tests.records import prepared, random_split


def test_both_readers_give_the_same_arrays(tmp_path: Path) -> None:
    splits = {"train": random_split(300), "validation": random_split(10, seed=1)}
    prepared(tmp_path / "development", splits)
    setting = Setting(tmp_path, "digits", tmp_path / "development", tmp_path / "test", quick=True)

    result = pictures.measure(setting, {})

    assert len(list((tmp_path / "pictures").glob("*/*.png"))) == pictures.QUICK_FILES
    assert [row[0] for row in result.rows] == list(pictures.READERS)
    ours, kerases = result.figures.values()
    assert result.floors[0].measured == kerases[0] / ours[0] > 1
