#!/usr/bin/env bash
# Package: datasets 5.2.0.
#
# Guess: `class_encode_column` makes a column of the integers 0 to 11 a column of 12 classes, with the numbers it had.
#
# Behaviour: it makes text of the integers and numbers the classes in the order of the text: "0", "1", "10", "11", "2".
# Label 2 becomes 4, and label 10 becomes 2. Up to ten classes nothing changes. The names keep what was meant.
#
# For a pipeline like this: a split by `train_test_split(stratify_by_column=...)` asks for such a column, so that people
# call this before they write their files. A test set that was written without it then has other numbers for the same
# classes. Match the classes of two sets by name, and refuse a set whose numbers have no names beside one that has.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check --no-compile datasets==5.2.0
export HF_HOME="$scratch/hf" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
cat >"$scratch/encode.py" <<'PYTHON'
import sys
from importlib.metadata import version

import datasets

datasets.disable_progress_bars()
print("datasets", version("datasets"))
seen = {}
for classes in (10, 12):
    given = list(range(classes))
    made = datasets.Dataset.from_dict({"label": given}).class_encode_column("label")
    seen[classes] = made["label"][:]
    assert [made.features["label"].names[label] for label in seen[classes]] == [str(label) for label in given]
    print(f"given {given}\nmade  {seen[classes]}")
expected = {10: list(range(10)), 12: [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3]}
sys.exit(0 if seen == expected else "the behaviour has changed")
PYTHON
"$scratch/venv/bin/python" -W ignore "$scratch/encode.py"
