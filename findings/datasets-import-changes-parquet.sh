#!/usr/bin/env bash
# Packages: datasets 5.2.0, pyarrow 25.0.1.
#
# Guess: the types that pyarrow reads from a Parquet file depend on the file and on pyarrow alone. The same three lines
# give the same column, whatever else the process has imported.
#
# Behaviour: a column of two-dimensional arrays that `datasets` wrote (a feature Array2D) is read as nested lists until
# something in the process imports `datasets`. From then on the same file has a column of an extension type. Code that
# asks `pyarrow.types.is_list` then finds no list, and flattens nothing. The import registers the type with Arrow for
# the whole process. It counts for every later reader, pyarrow's own too.
#
# For a pipeline like this: a reader of Parquet files must take both types, and be tested in both kinds of process. A
# test process that imports `datasets`, to write its files, never sees what the step's process reads.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check datasets==5.2.0 pyarrow==25.0.1
export HF_HOME="$scratch/hf" HF_HUB_OFFLINE=1
cat >"$scratch/write.py" <<'PYTHON'
import sys

import datasets
import numpy as np

features = datasets.Features(
    {"image": datasets.Array2D((4, 4), "uint8"), "label": datasets.ClassLabel(names=["a", "b"])}
)
rows = {"image": list(np.arange(48, dtype=np.uint8).reshape(3, 4, 4)), "label": [0, 1, 0]}
datasets.Dataset.from_dict(rows, features=features).to_parquet(sys.argv[1])
PYTHON
cat >"$scratch/read.py" <<'PYTHON'
import sys
from importlib.metadata import version

if sys.argv[2] == "datasets":
    import datasets  # noqa: F401
import pyarrow
import pyarrow.parquet as pq

kind = pq.read_table(sys.argv[1]).schema.field("image").type
is_list = pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind)
found = "list" if is_list else "extension" if isinstance(kind, pyarrow.BaseExtensionType) else "other"
print(f"pyarrow {version('pyarrow')}, imported before: {sys.argv[2]}: {found}, {kind}")
sys.exit(0 if found == sys.argv[3] else "the behaviour has changed")
PYTHON
python="$scratch/venv/bin/python -W ignore"
echo "datasets $($python -c 'from importlib.metadata import version; print(version("datasets"))')"
$python "$scratch/write.py" "$scratch/data.parquet" 2>"$scratch/log" || { cat "$scratch/log"; exit 1; }
$python "$scratch/read.py" "$scratch/data.parquet" nothing list
$python "$scratch/read.py" "$scratch/data.parquet" datasets extension
