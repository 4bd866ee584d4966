#!/usr/bin/env bash
# Package: mlflow 3.17.2.
#
# Guess: `SqlAlchemyStore("sqlite:///mlflow.db", ...)` opens mlflow.db of the working directory at that moment, as SQLite
# does. A process that changes the directory and makes another store gets another database, and makes it where it is
# missing.
#
# Behaviour: MLflow keeps one engine for each URL in the process, and the engine keeps its connection. The second store
# reads and writes the database of the first directory. It makes no file in the second one and says nothing.
#
# For a pipeline like this: code that tends several homes in one process, such as a clean-up of old runs, shows and
# deletes the runs of the first home under the name of the second. Each store needs a URL of its own: an absolute path,
# or a link with a path of its own where the real path holds characters that a URL cannot.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check mlflow==3.17.2
cat >"$scratch/stores.py" <<'PYTHON'
import os
import sys

import mlflow
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

for name in ("first", "second"):
    os.makedirs(name)
    os.chdir(name)
    url = f"sqlite:///{os.getcwd()}/mlflow.db" if sys.argv[1] == "absolute" else "sqlite:///mlflow.db"
    store = SqlAlchemyStore(url, os.getcwd())
    store.create_experiment(f"of {name}")
    listed = sorted(experiment.name for experiment in store.search_experiments())
    print(f"mlflow {mlflow.__version__}, {sys.argv[1]} URL, {name}: {listed}, file {os.path.exists('mlflow.db')}")
    os.chdir("..")
PYTHON
seen=$(for kind in relative absolute; do
    mkdir "$scratch/$kind" && cd "$scratch/$kind" && "$scratch/venv/bin/python" "$scratch/stores.py" "$kind" 2>/dev/null
done)
echo "$seen"
changed() {
    echo "changed: $1"
    exit 1
}
grep -q "relative URL, second: .*'of first', 'of second'.*, file False" <<<"$seen" ||
    changed "a second directory no longer gets the first one's database"
grep -q "absolute URL, second: \['Default', 'of second'\], file True" <<<"$seen" ||
    changed "stores with absolute URLs share a database"
