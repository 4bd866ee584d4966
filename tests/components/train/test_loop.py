"""Several devices train like several shards on one device, which do not wait for each other."""

import json
from pathlib import Path

import pytest

from components.common.plan.training import TrainConfig
from tests.forks import ForkedPython

SCRIPT = """
import json, sys
import tensorflow as tf
from pathlib import Path
from components.common.data.dataset import open_split
from components.train import session
from components.common.plan.training import TrainConfig

development, config, replicas = Path(sys.argv[1]), TrainConfig.model_validate_json(sys.argv[2]), int(sys.argv[3])
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * replicas
)
if replicas > 1:
    devices = [f"CPU:{number}" for number in range(replicas)]
    session.strategy = lambda: tf.distribute.MirroredStrategy(devices)
training = session.Session(open_split(development, "train"), open_split(development, "validation"), config)
training.run_until(training.steps)
epoch = training.score()
machine = [training.runtime["shards"], training.runtime["intra_op_threads"]]
print(json.dumps([*machine, epoch.loss, epoch.val_loss, epoch.accuracy]))
"""


GRAPH = """
import sys
from pathlib import Path
from components.common.data.dataset import open_split
from components.common.plan.training import TrainConfig
from components.train.session import Session

development, config = Path(sys.argv[1]), TrainConfig.model_validate_json(sys.argv[2])
training = Session(open_split(development, "train"), open_split(development, "validation"), config)
graph = training._loop._compiled_chunk.get_concrete_function().graph.as_graph_def()
calls = [
    call
    for function in graph.library.function
    for call in function.node_def
    if "gradients" in call.attr["f"].func.name
]
print(len(calls), [name for call in calls for name in call.input if name.startswith("^")])
"""


def _trained(development: Path, config: TrainConfig, cores: int, replicas: int) -> list[float]:
    variables = {"OMP_NUM_THREADS": str(cores)}
    process = ForkedPython(SCRIPT, development, config.model_dump_json(), replicas, variables=variables)
    shards: str
    threads: str
    figures: list[float]
    shards, threads, *figures = json.loads(process.output().splitlines()[-1])
    assert (int(shards), threads) == (cores, "1")
    return figures


def test_two_replicas_train_like_two_shards(development: Path, random: TrainConfig) -> None:
    config = random.differing(batch_size=128, batch_norm=False, dropout=0.0, epochs=4)

    on_two_devices = _trained(development, config, cores=1, replicas=2)

    assert on_two_devices == pytest.approx(_trained(development, config, cores=2, replicas=1), rel=1e-3)


def test_no_shard_waits_for_another(development: Path, random: TrainConfig) -> None:
    config = random.differing(batch_size=128, batch_norm=True, dropout=0.1)

    process = ForkedPython(GRAPH, development, config.model_dump_json(), variables={"OMP_NUM_THREADS": "2"})

    assert process.output().splitlines()[-1] == "2 []"
