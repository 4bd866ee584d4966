#!/usr/bin/env bash
# Packages: pyarrow 25.0.1, pandas 3.1.1, numpy 2.4.6.
#
# Guess: to turn a column of whole numbers, without a gap, into a NumPy array needs Arrow and NumPy. Nothing is copied,
# so it takes microseconds. Whether pandas is installed makes no difference.
#
# Behaviour: the first call of `Array.to_numpy` in a process imports pandas where it is installed, for any column, with
# `zero_copy_only` true as well. That takes a few tenths of a second and some ten MiB. `numpy.from_dlpack` gives the same
# array of the same memory and imports nothing. So do `to_pylist` and `RecordBatch.to_tensor`.
#
# For a pipeline like this: a command that looks at one column of labels is slowed by a package that it does not use,
# and only on machines that have it, which those of development do and an image for serving may not. A test that counts
# imports finds it; a profile of one's own functions does not.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check pyarrow==25.0.1 pandas==3.1.1 numpy==2.4.6
cat >"$scratch/convert.py" <<'PYTHON'
import sys
import time

import numpy
import pyarrow

column = pyarrow.Array.from_buffers(pyarrow.int64(), 4, [None, pyarrow.py_buffer(numpy.arange(4))])
ways = {
    "to_numpy": lambda: column.to_numpy(zero_copy_only=True),
    "from_dlpack": lambda: numpy.from_dlpack(column),
    "to_pylist": lambda: column.to_pylist(),
}
started = time.perf_counter()
values = list(ways[sys.argv[1]]())
seconds = time.perf_counter() - started
assert values == [0, 1, 2, 3]
print(f"pyarrow {pyarrow.__version__}, {sys.argv[1]}: {seconds:.4f} s,", end=" ")
print("pandas imported" if "pandas" in sys.modules else "pandas not imported")
PYTHON
seen=$(for way in to_numpy from_dlpack to_pylist; do "$scratch/venv/bin/python" "$scratch/convert.py" "$way"; done)
echo "$seen"
changed() {
    echo "changed: $1"
    exit 1
}
grep -q "to_numpy: .* pandas imported" <<<"$seen" || changed "to_numpy no longer imports pandas"
grep -q "from_dlpack: .* pandas not imported" <<<"$seen" || changed "from_dlpack imports pandas"
