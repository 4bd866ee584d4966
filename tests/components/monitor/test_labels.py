from pathlib import Path

import numpy as np
import pytest

from components.common.storage.object_store import ObjectStore
from components.monitor.labels import read_labels

IDS = np.array(["a", "b", "c", "d", "e"])


def test_labels_are_names_or_places_and_the_later_file_counts(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def put(name: str, content: bytes) -> None:
        (tmp_path / "file").write_bytes(content)
        store.upload(tmp_path / "file", f"log/labels/{name}")

    put("1.csv", b"id,label\na,cat\nb,1\nc,cat\nunknown,cat\n")
    put("2.csv", "﻿who,label,id\r\nme,dog,c\r\nme,bird,d\r\n".encode())
    put("3.csv", b"name,class\na,dog\n")
    put("4.csv", b"id,label\n\xff\xfe\n")
    put("5.txt", b"id,label\na,dog\n")
    (tmp_path / "file").write_bytes(b"id,label\na,dog\n")
    store.upload(tmp_path / "file", "log/2026-11-28/labels.csv")

    found = read_labels(store, "log", IDS, ("cat", "dog"))

    assert found.tolist() == [0, 1, 1, -1, -1]
    said = capsys.readouterr().out
    assert "3.csv is left out: its columns must be id and label but are ['name', 'class']" in said
    assert "4.csv is left out: it must be text in UTF-8" in said
    assert "1 labels are left out: there is no class 'bird'" in said
    assert read_labels(store, "other", IDS, ("cat", "dog")).tolist() == [-1] * 5


def test_labels_of_other_requests_alone_are_told(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"id,label\na-0,cat\nb-0,dog\n")
    store.upload(tmp_path / "file", "log/labels/1.csv")
    assert read_labels(store, "log", IDS, ("cat", "dog")).tolist() == [-1] * 5
    assert "the 2 labels there are of other requests: an id is what" in capsys.readouterr().out

    (tmp_path / "file").write_bytes(b"id,label\na,cat\n")
    store.upload(tmp_path / "file", "log/labels/2.csv")
    assert read_labels(store, "log", IDS, ("cat", "dog")).tolist() == [0, -1, -1, -1, -1]
    assert "other requests" not in capsys.readouterr().out
