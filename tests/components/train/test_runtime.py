import os
import subprocess
import sys

import pytest
import tensorflow as tf

from components.train.runtime import start_tensorflow

IMPORTS = """
import sys
import components.train.step, components.tune.step
print([name for name in ("keras", "tensorflow") if name in sys.modules])
"""


def test_a_started_tensorflow_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    tf.constant(1) + 1
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads + 4))

    start_tensorflow(shards=2)

    assert tf.config.threading.get_intra_op_parallelism_threads() == threads


def test_several_shards_turn_onednn_on_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    start_tensorflow(shards=2)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"

    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    start_tensorflow(shards=1)
    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ

    start_tensorflow(shards=2)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"


def test_the_steps_do_not_import_tensorflow_before_a_training_sets_its_threads() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
