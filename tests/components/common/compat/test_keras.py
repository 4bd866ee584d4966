import subprocess
import sys

BEGIN = """
import sys, threading
from components.common.compat.keras import OLDER, OPTIONAL, _Absent, import_keras
"""


def _run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", BEGIN + script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_keras_imports_the_optional_packages_unless_they_are_left_out() -> None:
    found = "print(sorted(OPTIONAL & sys.modules.keys()))"
    assert _run(f"import keras; {found}") == "['matplotlib', 'pandas', 'scipy', 'sklearn']"
    assert _run(f"import_keras(); {found}") == "[]"


def test_what_keras_did_without_is_imported_afterwards_as_always() -> None:
    script = """
import_keras()
import matplotlib.pyplot, pandas, sklearn.base
import keras
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
print(model.predict_on_batch(pandas.DataFrame([[1, 2]]).to_numpy()).shape)
"""
    assert _run(script) == "(1, 3)"


def test_other_threads_find_the_optional_packages_meanwhile() -> None:
    script = """
sys.meta_path.insert(0, _Absent())
def look():
    import pandas
    print(pandas.__name__)
thread = threading.Thread(target=look)
thread.start()
thread.join()
try:
    import sklearn
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert _run(script) == "pandas\nsklearn"


def test_tensorflows_older_interfaces_are_imported_when_they_are_used() -> None:
    script = """
import_keras()
import tensorflow as tf
print(OLDER + ".v1" in sys.modules, tf.compat.v1.nn.relu(-1.0).numpy(), OLDER + ".v1" in sys.modules)
"""
    assert _run(script) == "False 0.0 True"
