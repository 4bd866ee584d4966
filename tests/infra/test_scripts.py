"""The scripts that bring a cluster up, as far as they can be run without one."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tests.infra.manifests import BIN, INFRA, ROOT
from tests.infra.test_references import SECRETS

SCRIPTS = sorted(INFRA.rglob("*.sh"))
# Keeps what it is given in $STORE, and everything it was called with in $STORE/calls.
KUBECTL = """#!{python}
import base64, json, os, pathlib, re, sys
import yaml
store = pathlib.Path(os.environ["STORE"])
arguments = sys.argv[1:]
with (store / "calls").open("a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
match arguments:
    case ["create", "--filename", "-"]:
        secret = yaml.safe_load(sys.stdin)
        assert (secret["apiVersion"], secret["kind"]) == ("v1", "Secret")
        path = store / f"{{secret['metadata']['namespace']}}.{{secret['metadata']['name']}}.json"
        values = {{key: base64.b64decode(value, validate=True).decode() for key, value in secret["data"].items()}}
        with path.open("x") as file:
            json.dump(values, file)
    case ["--namespace", namespace, "create", "configmap", name, "--from-file=MODEL_PUBLIC_KEYS=/dev/stdin"]:
        with (store / f"{{namespace}}.{{name}}.pem").open("x") as file:
            file.write(sys.stdin.read())
    case ["--namespace", namespace, "get", "configmap", name]:
        sys.exit(0 if (store / f"{{namespace}}.{{name}}.pem").exists() else "NotFound")
    case ["--namespace", namespace, "get", "secret", name, *output]:
        path = store / f"{{namespace}}.{{name}}.json"
        if not path.exists():
            sys.exit("NotFound")
        if output:
            key = re.fullmatch(r"jsonpath={{[.]data[.](.+)}}", output[1])[1]
            sys.stdout.write(base64.b64encode(json.loads(path.read_text())[key].encode()).decode())
    case ["--namespace", namespace, "delete", "secret", name, "--ignore-not-found"]:
        (store / f"{{namespace}}.{{name}}.json").unlink(missing_ok=True)
    case _:
        sys.exit(f"unexpected: {{arguments}}")
"""


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_shellcheck_has_nothing_to_say() -> None:
    assert len(SCRIPTS) == 5
    command = [str(BIN / "shellcheck"), "--external-sources", *map(str, SCRIPTS)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.stdout == ""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    executable(tmp_path / "kubectl", KUBECTL.format(python=BIN / "python"))
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def make_secrets(store: Path, *arguments: str) -> str:
    environment = {"STORE": str(store), "PATH": f"{store.parent}:{os.environ['PATH']}"}
    command = [str(INFRA / "scripts" / "secrets.sh"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def made(store: Path) -> dict[tuple[str, str], dict[str, str]]:
    secrets = {}
    for path in store.glob("*.json"):
        namespace, name = path.stem.split(".")
        secrets[namespace, name] = json.loads(path.read_text())
    return secrets


def test_secrets_are_made_once_and_fit_together(store: Path) -> None:
    output = make_secrets(store)
    first = made(store)
    # The address of private data is the user's own.
    expected = {secret: keys for secret, keys in SECRETS.items() if secret[1] != "mnist-pipeline-data"}
    assert {secret: set(values) for secret, values in first.items()} == expected
    assert make_secrets(store) == ""
    assert made(store) == first

    steps, database = first["kubeflow", "mnist-pipeline"], first["mlflow", "mlflow-database"]
    host = "postgres.mlflow.svc.cluster.local:5432"
    password = first["mlflow", "optuna-database"]["password"]
    assert steps["OPTUNA_STORAGE"] == f"postgresql+psycopg2://optuna:{password}@{host}/optuna"
    assert database["uri"] == f"postgresql+psycopg2://mlflow:{database['password']}@{host}/mlflow"

    known = {
        identity["name"]: tuple(identity["credentials"][0].values())
        for identity in json.loads(first["kubeflow", "seaweedfs-identities"]["identities.json"])["identities"]
    }
    artifacts = first["kubeflow", "mnist-pipeline-artifacts"]
    log = first["kubeflow", "mnist-model-log"]
    assert known == {
        "bucket": tuple(first["mlflow", "bucket-s3"].values()),
        "mlflow": tuple(first["mlflow", "mlflow-s3"].values()),
        "steps": (steps["AWS_ACCESS_KEY_ID"], steps["AWS_SECRET_ACCESS_KEY"]),
        "monitor": tuple(first["kubeflow", "mnist-pipeline-monitoring"].values()),
        "serve": (log["AWS_ACCESS_KEY_ID"], log["AWS_SECRET_ACCESS_KEY"]),
        "artifacts": (artifacts["accesskey"], artifacts["secretkey"]),
    }

    passwords = {values["password"] for values in first.values() if "password" in values}
    passwords |= set(first["kubeflow", "mlpipeline-minio-artifact"].values())
    passwords |= {key for pair in known.values() for key in pair}
    assert len(passwords) == 3 + 2 + 12
    assert all(len(password) == 48 for password in passwords)
    for password in passwords:
        assert password not in (store / "calls").read_text(), "on a command line everybody can read it"
        assert password not in output


def test_the_signing_key_and_the_public_key_are_a_pair(store: Path) -> None:
    make_secrets(store)
    private = made(store)["kubeflow", "mnist-pipeline-signing"]["MODEL_SIGNING_KEY"]
    key = load_pem_private_key(private.encode(), None)
    public = (store / "kubeflow.mnist-pipeline-public-keys.pem").read_bytes()
    assert isinstance(key, EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert key.public_key() == load_pem_public_key(public)
    assert private not in (store / "calls").read_text()


def test_kubeflow_alone_is_given_its_own_secrets(store: Path) -> None:
    make_secrets(store, "kubeflow")
    names = {"mlpipeline-minio-artifact", "seaweedfs-identities", "mnist-pipeline-artifacts"}
    assert set(made(store)) == {("kubeflow", name) for name in names}


def test_a_secret_that_is_there_is_kept(store: Path) -> None:
    (store / "mlflow.mlflow-s3.json").write_text('{"AWS_ACCESS_KEY_ID": "mine"}')
    make_secrets(store)
    assert made(store)["mlflow", "mlflow-s3"] == {"AWS_ACCESS_KEY_ID": "mine"}


def test_the_steps_follow_a_namespace_mlflow_that_was_made_anew(store: Path) -> None:
    make_secrets(store)
    for path in store.glob("mlflow.*.json"):
        path.unlink()
    make_secrets(store)
    secrets = made(store)
    password = secrets["mlflow", "optuna-database"]["password"]
    assert f":{password}@" in secrets["kubeflow", "mnist-pipeline"]["OPTUNA_STORAGE"]


def cluster(path: Path, provider: str, verb: str) -> subprocess.CompletedProcess[str]:
    """Run the script where only the tools below `path`, and those of every machine, can be found."""
    for tool in ("bash", "dirname", "mkdir", "grep", "date", "sed", "head"):
        if not (path / tool).exists():
            (path / tool).symlink_to(str(shutil.which(tool)))
    command = [str(INFRA / "scripts" / "cluster.sh"), provider, verb]
    return subprocess.run(command, env={"PATH": str(path)}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("provider", ["kind", "minikube"])
def test_preflight_names_what_is_missing(provider: str, tmp_path: Path) -> None:
    executable(tmp_path / "docker", "#!/bin/bash\n")
    result = cluster(tmp_path, provider, "up")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: {provider} needs git docker {provider} kubectl but there is no git {provider}: install it.\n"
    )


@pytest.mark.parametrize(
    ("docker", "message"),
    [
        ("exit 1", "docker must answer but does not"),
        ("echo 0", "docker must answer but does not"),
        (f"echo {4 << 30}", "docker must have 12288 MiB of memory for Kubeflow but has 4096"),
    ],
)
def test_preflight_asks_docker(docker: str, message: str, tmp_path: Path) -> None:
    for tool in ("git", "kind"):
        executable(tmp_path / tool, "#!/bin/bash\nexit 0\n")
    executable(tmp_path / "docker", f"#!/bin/bash\n{docker}\n")
    result = cluster(tmp_path, "kind", "up")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {message}")


@pytest.mark.parametrize(("verb", "code"), [("ui", 1), ("down", 0), ("dance", 1)])
def test_without_a_cluster_the_other_verbs_say_so(verb: str, code: int, tmp_path: Path) -> None:
    executable(tmp_path / "kind", "#!/bin/bash\necho 'No kind clusters found.' >&2\n")
    result = cluster(tmp_path, "kind", verb)
    assert result.returncode == code
    said = (
        "takes up, run, ui or down but got dance"
        if verb == "dance"
        else "there is no kind cluster mnist-pipeline"
    )
    assert said in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("states", "ready"),
    [("a True\\nb True\\n", True), ("a False\\nb True\\n", False), ("a True\\nb \\n", False), ("", False)],
)
def test_deployments_are_there_when_all_are_available(states: str, ready: bool, tmp_path: Path) -> None:
    executable(tmp_path / "kubectl", f"#!/bin/bash\n[[ $4 == deployments ]] && printf '{states}'\n")
    script = f"source {INFRA / 'scripts' / 'lib.sh'}; available kubeflow"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert (subprocess.run(["bash", "-c", script], env=environment, check=False).returncode == 0) == ready


def test_waiting_says_what_for_and_gives_up(tmp_path: Path) -> None:
    pods = "api 0/1 Pending 0 5s\\nui 1/1 Running 0 5s\\ndb 0/1 Init:0/1 0 5s\\n"
    body = f"case $4 in pods) printf '{pods}' ;; events) printf 'no room\\non it' ;; esac"
    executable(tmp_path / "kubectl", f"#!/bin/bash\n{body}\n")
    script = f"source {INFRA / 'scripts' / 'lib.sh'}; sleep() {{ :; }}; wait_until 1 kubeflow Kubeflow false"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    blocked = ["api Pending no room on it", "db Init:0/1 no room on it"]
    first, *lines = done.stdout.splitlines()
    assert (done.returncode, first[9:], lines) == (
        1,
        "waiting for Kubeflow:",
        [f"  {line}" for line in blocked],
    )
    head, *lines = done.stderr.splitlines()
    assert head.startswith(
        "error: Kubeflow must be ready within 1 s but is not; see kubectl --namespace kubeflow"
    )
    assert lines == blocked
