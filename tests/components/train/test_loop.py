"""Several devices train like several shards on one device."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.plan.training import TrainConfig

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


def _trained(development: Path, config: TrainConfig, cores: int, replicas: int) -> list[float]:
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(development), config.model_dump_json(), str(replicas)],
        capture_output=True,
        text=True,
        check=False,
        env={"OMP_NUM_THREADS": str(cores), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path.cwd())},
    )
    assert finished.returncode == 0, finished.stderr
    shards: str
    threads: str
    figures: list[float]
    shards, threads, *figures = json.loads(finished.stdout.splitlines()[-1])
    assert (int(shards), threads) == (cores, "1")
    return figures


def test_two_replicas_train_like_two_shards(development: Path, random: TrainConfig) -> None:
    config = random.differing(batch_size=128, batch_norm=False, dropout=0.0, epochs=4)

    on_two_devices = _trained(development, config, cores=1, replicas=2)

    assert on_two_devices == pytest.approx(_trained(development, config, cores=2, replicas=1), rel=1e-3)
