from pathlib import Path

import numpy as np

from benchmarks.inspection import Parts, write_forms
from pipelines.data.inspect import inspect_data
from pipelines.parameters import request


def test_every_form_holds_the_same_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    parts: Parts = {
        part: (rng.integers(0, 256, (count, 8, 8), np.uint8), np.arange(count) % 3)
        for part, count in (("train", 60), ("test", 30))
    }
    forms = {}
    for name, path in write_forms(parts, tmp_path).items():
        found = inspect_data(request([], flags={"data.source": path.as_uri()}, local=True).resolved(), None)
        forms[name] = found.form
        assert found.counts == {"train": 60, "test": 30}
        assert found.class_counts["test"] == {"0": 10, "1": 10, "2": 10}
        assert found.spec.shape == (8, 8, 1)
    assert list(forms.values()) == ["idx", "npz", "csv", *["pictures"] * 4, "parquet", "saved"]
