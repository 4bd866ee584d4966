import subprocess
import sys

LOOK = "from kubernetes.dynamic import client; print(client.HAS_KUBERNETES_VALIDATE)"
LEAVE_OUT = (
    "from pipelines.compat.kubernetes_client import VALIDATOR, leave_out_validator; leave_out_validator(); "
)


def _run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_client_takes_a_validator_along_unless_it_is_kept_from_it() -> None:
    assert _run(LOOK) == "True"
    assert _run(LEAVE_OUT + LOOK) == "False"


def test_a_validator_that_is_imported_already_stays() -> None:
    found = "import sys; print(sys.modules[VALIDATOR] is kubernetes_validate)"
    assert _run(f"import kubernetes_validate; {LEAVE_OUT}{found}") == "True"
