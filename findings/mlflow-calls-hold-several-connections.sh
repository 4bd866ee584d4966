#!/usr/bin/env bash
# Package: mlflow 3.17.2 (mlflow-skinny with sqlalchemy 2.1.9 and alembic 1.20.1 is enough).
#
# Guess: a call of the tracking server takes one connection to the database from SQLAlchemy's pool, and gives it back at
# its end. So a pool of 15, the usual one, serves 15 calls at once, and further ones wait for their turn.
#
# Behaviour: `log_batch` opens a session, and inside of it one for parameters, one for metrics, and for the name of the
# run three inside of each other. Each session has a connection of its own, so one call holds up to four at a time, and
# needs the last one before it lets the first go. Where many calls hold their first connection at the same moment, none
# is left for the second, and all of them wait for the pool's time-out of 30 seconds.
#
# For a pipeline like this: what matters is not how many runs log, but how many log at the same moment. 50 runs lost most
# of their records so, on a machine that was idle meanwhile. A server needs connections for (threads x 3 + 1), or must
# let in only so many calls at once that one of them always gets all that it needs.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check \
    mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1 pandas==3.1.1
cat >"$scratch/connections.py" <<'PYTHON'
import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import event

store = SqlAlchemyStore("sqlite:///mlflow.db", "artifacts")
run_id = store.create_run("0", "user", 0, [], "first").info.run_id
held, most = 0, 0


def taken(*_):
    global held, most
    held += 1
    most = max(held, most)


def given_back(*_):
    global held
    held -= 1


event.listen(store.engine, "checkout", taken)
event.listen(store.engine, "checkin", given_back)


def held_by(**batch):
    global most
    most = 0
    store.log_batch(run_id, **({"metrics": [], "params": [], "tags": []} | batch))
    assert held == 0
    return most


found = {
    "one metric": held_by(metrics=[Metric("loss", 0.5, 0, 0)]),
    "one parameter": held_by(params=[Param("units", "8")]),
    "the name of the run": held_by(tags=[RunTag("mlflow.runName", "second")]),
}
pool = store.engine.pool
print(f"mlflow {mlflow.__version__}: {type(pool).__name__} of {pool.size()} + {pool._max_overflow} connections")
for batch, connections in found.items():
    print(f"connections that a log_batch of {batch} holds at once: {connections}")
raise SystemExit(list(found.values()) != [2, 2, 4])
PYTHON
cd "$scratch"
venv/bin/python connections.py
