import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.common import settings as module
from components.common.errors import PipelineError
from components.common.settings import (
    Settings,
    environment,
    export,
    export_defaults,
    kept_environment,
    leave_other_runs,
    setting_rows,
    settings,
    settings_page,
    variables_of,
    withdraw,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        for name in variables_of(field):
            monkeypatch.setenv(name, "restored at the end")
            monkeypatch.delenv(name)


def test_a_variable_is_read_with_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKPOINT_SECONDS", "1.5")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("S3_BUCKET", "bucket")
    found = settings()
    assert (found.checkpoint_seconds, found.omp_num_threads, found.s3_bucket) == (1.5, 3, "bucket")


def test_of_a_list_of_threads_the_first_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    assert settings().omp_num_threads == 2
    for wrong in ("0", "two", ",2"):
        monkeypatch.setenv("OMP_NUM_THREADS", wrong)
        with pytest.raises(PipelineError, match=r"^OMP_NUM_THREADS: .* correct it or unset it\.$"):
            settings()


def test_user_and_password_leave_the_address_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "another")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://alice:s%40cret@[::1]:5000/ml")
    found = settings()
    assert found.mlflow_tracking_uri == "https://[::1]:5000/ml"
    assert (found.mlflow_tracking_username, found.mlflow_tracking_password) == ("alice", "s@cret")


@pytest.mark.parametrize(
    ("tracking", "registry", "told"),
    [
        ("https://u:p@mlflow.example/ml", "https://mlflow.example/ml/", ""),
        ("https://mlflow.example", "https://u:p@other.example", "is another, other.example: unset it"),
        (None, "databricks-uc", "is another: unset it"),
    ],
)
def test_models_are_kept_by_the_server_of_the_runs(
    tracking: str | None, registry: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking or "")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)
    if not told:
        settings()
        return
    with pytest.raises(PipelineError, match=told):
        settings()


def test_runs_of_other_programs_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "other")
    monkeypatch.setenv("MLFLOW_RUN_ID", "3f2a")
    assert leave_other_runs() == ["MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"]
    assert leave_other_runs() == []
    assert settings().mlflow_run_id is None


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setenv("CHECKPOINT_SECONDS", "")
    assert (settings().mlflow_tracking_uri, settings().checkpoint_seconds) == (None, 30.0)


def test_the_settings_are_parsed_once_and_again_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    first = settings()
    assert settings() is first
    monkeypatch.setenv("S3_BUCKET", "another")
    assert settings().s3_bucket == "another"


def test_the_clusters_address_of_mlflow_counts_where_kubeflow_gives_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEFAULT_MLFLOW_TRACKING_URI", "http://cluster")
    assert settings().mlflow_tracking_uri == "http://cluster"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://kubeflow")
    assert settings().mlflow_tracking_uri == "http://kubeflow"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "CHECKPOINT_SECONDS",
            "soon",
            r"CHECKPOINT_SECONDS: .* number.* but got 'soon': correct it or unset it\.",
        ),
        ("OMP_NUM_THREADS", "0", r"OMP_NUM_THREADS: .* greater than or equal to 1 but got '0'"),
    ],
)
def test_a_variable_that_breaks_its_rule_is_one_line(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(PipelineError, match=message):
        settings()


def test_a_childs_environment_is_a_copy() -> None:
    given = environment({"S3_BUCKET": "of the child"})
    assert (given["S3_BUCKET"], given["PATH"]) == ("of the child", os.environ["PATH"])
    assert "S3_BUCKET" not in os.environ


def test_variables_are_as_before_after_whatever_was_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "mine")
    monkeypatch.delenv("S3_ENDPOINT_URL", raising=False)
    before = environment()
    with kept_environment():
        export({"S3_BUCKET": "other", "S3_ENDPOINT_URL": "http://127.0.0.1:1"})
        assert settings().s3_bucket == "other"
    assert environment() == before
    assert settings().s3_bucket == "mine"


def test_variables_are_exported_defaulted_and_withdrawn() -> None:
    export({"S3_BUCKET": "one"})
    export_defaults({"S3_BUCKET": "two", "GIT_SHA": "3f2a"})
    assert (os.environ["S3_BUCKET"], os.environ["GIT_SHA"]) == ("one", "3f2a")
    withdraw("S3_BUCKET")
    withdraw("S3_BUCKET")
    assert settings().s3_bucket is None


def test_every_setting_is_described() -> None:
    rows = list(setting_rows())
    assert [row[0] for row in rows] == [variables_of(field)[0] for field in Settings.model_fields]
    assert all(meaning for *_, meaning in rows)


def test_the_page_of_the_settings_is_up_to_date() -> None:
    way_out = "run `python -m components.common.settings > docs/settings.md`"
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), way_out


def test_no_other_module_reads_the_environment() -> None:
    found = [
        str(path.relative_to(ROOT))
        for room in ("benchmarks", "components", "pipelines")
        for path in (ROOT / room).rglob("*.py")
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    ]
    assert found == [str(Path(module.__file__).relative_to(ROOT))]


def _mounted(directory: Path, **content: str | bytes) -> Path:
    """Lay out files as Kubernetes does: links into a hidden directory of this version."""
    version = directory / "..2026_11_28"
    version.mkdir(parents=True)
    (directory / "..data").symlink_to(version.name)
    for name, text in content.items():
        (version / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        (directory / name).symlink_to(f"..data/{name}")
    return directory


def _started(tmp_path: Path, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    script = f"import os, components.common.settings\n{code}"
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, "-c", script],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_files_of_a_step_are_variables_unless_they_are_set(tmp_path: Path) -> None:
    public = _mounted(
        tmp_path / "public",
        HTTPS_PROXY="http://proxy:3128\n",
        no_proxy=".svc",
        AWS_REGION="eu-central-1",
        **{"ca.crt": b"\xff"},
    )
    secret = _mounted(tmp_path / "secret", MLFLOW_TRACKING_TOKEN="one\ntwo\n")
    code = "print([os.environ.get(n) for n in ('HTTPS_PROXY', 'no_proxy', 'AWS_REGION', 'MLFLOW_TRACKING_TOKEN')])"
    places = f"{public}:{tmp_path / 'none'}:{secret}"
    done = _started(tmp_path, code, STEP_ENVIRONMENT=places, AWS_REGION="us-west-1")
    assert done.stdout == "['http://proxy:3128', '.svc', 'us-west-1', 'one\\ntwo']\n", done.stderr
    code = "print(sorted(os.environ.keys() & {'ca.crt', '..data', 'HTTPS_PROXY'}))"
    assert _started(tmp_path, code, STEP_ENVIRONMENT=places).stdout == "['HTTPS_PROXY']\n"
    assert _started(tmp_path, code).stdout == "[]\n"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b"])
def test_a_file_that_is_no_text_is_no_variable(tmp_path: Path, content: bytes) -> None:
    directory = _mounted(tmp_path / "public", KEY=content)
    done = _started(tmp_path, "", STEP_ENVIRONMENT=str(directory))
    assert done.stderr.splitlines()[-1].endswith(
        f"PipelineError: KEY must be text but {directory}/KEY is none: correct the key of that name."
    )
