"""Settings from environment variables, and the environment of this process and its children."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from components.common.errors import PipelineError

# Else pydantic looks through every installed package for plugins, in each process.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _unless_injected(name: str) -> AliasChoices:
    # Kubeflow's integration sets these variables itself, so the cluster's own settings have other names in a pod.
    return AliasChoices(name, f"DEFAULT_{name}")


class Settings(BaseModel):
    """The variables that this project reads; an empty variable counts as unset.

    Libraries read further variables themselves: boto3 the other `AWS_*`, MLflow the other `MLFLOW_*`, Docker's
    client the other `DOCKER_*`.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    mlflow_tracking_uri: str | None = Field(
        default=None,
        validation_alias=_unless_injected("MLFLOW_TRACKING_URI"),
        description="Address of the MLflow server, which may hold user and password; without it steps track nothing, "
        "and the command line starts one.",
    )
    mlflow_ui_url: str | None = Field(
        default=None,
        description="Address at which people reach the MLflow server, for links; MLFLOW_TRACKING_URI without it.",
    )
    mlflow_registry_uri: str | None = Field(
        default=None, description="Only the address of the same server: it keeps the models too."
    )
    mlflow_run_id: str | None = Field(
        default=None, description="MLflow run of this task, set by Kubeflow's integration."
    )
    mlflow_run_name: str | None = Field(default=None, description="Name of the pipeline's run in MLflow.")
    mlflow_tracking_username: str | None = Field(
        default=None,
        validation_alias=_unless_injected("MLFLOW_TRACKING_USERNAME"),
        description="User of the MLflow server.",
    )
    mlflow_tracking_password: str = Field(
        default="",
        validation_alias=_unless_injected("MLFLOW_TRACKING_PASSWORD"),
        description="Password of that user.",
    )
    mlflow_tracking_token: str | None = Field(
        default=None,
        validation_alias=_unless_injected("MLFLOW_TRACKING_TOKEN"),
        description="Bearer token for the MLflow server.",
    )
    mlflow_tracking_auth: str | None = Field(
        default=None,
        description="Plugin of MLflow's client, such as `kubernetes`, that logs in to the server.",
    )
    mlflow_tracking_aws_sigv4: bool = Field(
        default=False, description="Whether AWS signs the requests to the MLflow server."
    )
    mlflow_tracking_server_cert_path: Path | None = Field(
        default=None, description="File of certificates to trust for the MLflow server."
    )
    mlflow_tracking_insecure_tls: bool = Field(
        default=False, description="Whether any certificate of the MLflow server is trusted."
    )
    mlflow_tracking_client_cert_path: Path | None = Field(
        default=None, description="File of a certificate, with its key, to show to the MLflow server."
    )
    mlflow_workspace: str | None = Field(
        default=None,
        validation_alias=_unless_injected("MLFLOW_WORKSPACE"),
        description="Workspace on the MLflow server.",
    )
    requests_ca_bundle: Path | None = Field(
        default=None,
        description="File of certificates to trust for MLflow, Kubeflow Pipelines and the store, whose own variables "
        "MLFLOW_TRACKING_SERVER_CERT_PATH, SSL_CERT_FILE and AWS_CA_BUNDLE come first.",
    )
    curl_ca_bundle: Path | None = Field(
        default=None,
        description="The same where REQUESTS_CA_BUNDLE is not set, but not for the store, whose client does not know "
        "it.",
    )
    s3_endpoint_url: str | None = Field(
        default=None, description="Address of the S3-compatible store; AWS S3 without it."
    )
    s3_bucket: str | None = Field(
        default=None, description="Bucket; `mnist-pipeline` where only the address is set."
    )
    s3_addressing_style: str | None = Field(
        default=None,
        pattern="^(auto|path|virtual)$",
        description="Whether the bucket stands in the path or in the name of the host: `path`, `virtual` or `auto`; "
        "without it the path where there is an address of a store.",
    )
    s3_signature_version: str | None = Field(
        default=None, pattern="^(s3v4|s3)$", description="`s3` for a store that does not know `s3v4`."
    )
    aws_access_key_id: str | None = Field(default=None, description="Access key of the store.")
    aws_secret_access_key: str | None = Field(default=None, description="Secret key of the store.")
    embedded_servers: bool = Field(
        default=False,
        description="Whether the command has started both servers itself; a run examines those of others first.",
    )
    no_proxy: str | None = Field(
        default=None,
        # It is written in small letters too, by convention.
        validation_alias=AliasChoices("NO_PROXY", "no_proxy"),
        description="Hosts reached without a proxy; the embedded servers are added.",
    )
    optuna_storage: str | None = Field(
        default=None,
        description="Where tuning workers share their study: a `postgresql://` URL, or a journal file's path.",
    )
    checkpoint_dir: str | None = Field(
        default=None, description="Directory or `s3://bucket/prefix` for the state of interrupted trainings."
    )
    checkpoint_seconds: float = Field(
        default=30.0, ge=0, description="Seconds from one checkpoint to the next."
    )
    outage_seconds: float = Field(
        default=300.0,
        ge=0,
        description="Seconds that a step waits for a store, MLflow or a database that does not answer.",
    )
    mnist_data_uri: str | None = Field(default=None, description="Path or URI of MNIST's four files.")
    data_uri: str | None = Field(
        default=None,
        description="Address of the data of `--data env:DATA_URI`; may hold a password or a signature.",
    )
    data_allow_private: bool | None = Field(
        default=None,
        description="Whether data may come from private addresses and from the step's own files; unless it is set, "
        "it may where the step is not on Kubernetes.",
    )
    kubernetes_service_host: str | None = Field(
        default=None, description="Set by Kubernetes in every container."
    )
    omp_num_threads: int | None = Field(
        default=None,
        ge=1,
        description="Processor cores that a training or a prediction may use; the first of a list.",
    )
    tf_enable_onednn_opts: str | None = Field(
        default=None, description="TensorFlow's oneDNN kernels; a training in shards turns them on."
    )
    tf_num_intraop_threads: str | None = Field(
        default=None, description="TensorFlow's threads within an operation."
    )
    tf_num_interop_threads: str | None = Field(
        default=None, description="TensorFlow's threads between operations."
    )
    onednn_max_cpu_isa: str | None = Field(
        default=None,
        validation_alias=AliasChoices("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
        description="Instructions that oneDNN may use at most, by its names; below AVX512_CORE_BF16 a training "
        "computes in float32, as on a processor without bfloat16.",
    )
    step_image: str = Field(default="none", description="Image of this step; set by the compiled pipeline.")
    step_environment: str = Field(
        default="",
        description="Directories, with colons between, whose files are further variables of a step; set by the "
        "compiled pipeline.",
    )
    git_sha: str | None = Field(default=None, description="Commit of the code; set in the images.")
    lock_digest: str | None = Field(
        default=None, description="SHA-256 of the dependency lock; set in the images."
    )
    model_signing_key: str | None = Field(
        default=None,
        description="Private key that signs what is registered: a path, or the key in PEM; the home's by default.",
    )
    model_public_keys: str | None = Field(
        default=None,
        description="Public keys whose signatures are trusted: paths with colons between, or the keys themselves in "
        "PEM; the home's by default.",
    )
    serve_token: str | None = Field(
        default=None, description="Bearer token that `mnist-pipeline serve` asks its clients for."
    )
    kfp_token: str | None = Field(default=None, description="Bearer token for Kubeflow Pipelines.")
    kfp_cookie: str | None = Field(
        default=None, description="Session of a browser at Kubeflow, as `NAME=VALUE` of its cookie."
    )
    kfp_username: str | None = Field(
        default=None,
        description="User of the Dex that guards Kubeflow; with KFP_PASSWORD the commands log in.",
    )
    kfp_password: str | None = Field(default=None, description="Password of that user.")
    kf_pipelines_ui_endpoint: str | None = Field(
        default=None,
        description="Address of Kubeflow's pages, for printed links, where it is not that of its API.",
    )
    ssl_cert_file: Path | None = Field(
        default=None, description="File of certificates to trust for Kubeflow Pipelines."
    )
    notify_slack_url: str | None = Field(
        default=None,
        description="Incoming webhook of Slack, or of what speaks like it, that is told of runs.",
    )
    notify_webhook_url: str | None = Field(
        default=None, description="Address that is told of runs in JSON, as Standard Webhooks describes it."
    )
    notify_webhook_secret: str | None = Field(
        default=None, description="Secret that signs what is sent to NOTIFY_WEBHOOK_URL."
    )
    notify_smtp_url: str | None = Field(
        default=None,
        description="Mail server, `smtp://USER:PASSWORD@HOST:587` or `smtps://...`, by which runs are told of.",
    )
    notify_mail_to: str | None = Field(
        default=None, description="Addresses that NOTIFY_SMTP_URL writes to, with commas between."
    )
    notify_mail_from: str | None = Field(
        default=None,
        description="Address that NOTIFY_SMTP_URL writes from; the first of NOTIFY_MAIL_TO without it.",
    )
    notify_kinds: str | None = Field(
        default=None,
        description="What receivers are told, with commas between: `failed`, `champion`, `refused`, `drift`, "
        "`waiting`; all without it.",
    )
    docker_host: str = Field(default="the default socket", description="Address of the container engine.")

    @field_validator("omp_num_threads", mode="before")
    @classmethod
    def _outermost(cls, given: str | None) -> str | None:
        # OpenMP takes a list, one number for each level of nesting.
        return given and given.partition(",")[0]


def settings() -> Settings:
    """Return the settings; they are parsed once, and again only where this process changed its variables.

    Raises:
        PipelineError: A variable breaks its rule.
    """
    return _parsed(tuple(os.environ.get(name) for name in VARIABLES))


def variables_of(field: str) -> tuple[str, ...]:
    """Return the names of the environment variables that set a field, the first of which counts most."""
    alias = Settings.model_fields[field].validation_alias
    return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (field.upper(),)


PAGE_HEAD = """# Settings

Environment variables that mnist-pipeline reads. An empty variable counts as unset. On a cluster the ConfigMap and the
Secret `mnist-pipeline` set them for the steps. A value that breaks its rule is refused in one line.

Libraries read further variables: boto3 the other `AWS_*`, MLflow the other `MLFLOW_*`, Docker's client the other
`DOCKER_*`. This page is generated by `python -m components.common.settings`.

"""

VARIABLES = tuple(name for field in Settings.model_fields for name in variables_of(field))


@lru_cache(maxsize=1)
def _parsed(values: tuple[str | None, ...]) -> Settings:
    del values  # the key of the cache
    try:
        # Not by pydantic-settings: its import brings asyncio and more into every command.
        return _on_one_server(_without_login(Settings.model_validate(dict(_given()))))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        raise PipelineError(
            f"{name}: {first['msg'].lower()} but got {first['input']!r}: correct it or unset it."
        ) from None


def _given() -> Iterator[tuple[str, str]]:
    """Yield the fields that a variable sets, with its text."""
    for field in Settings.model_fields:
        texts = (os.environ.get(name) for name in variables_of(field))
        if text := next(filter(None, texts), None):
            yield field, text


def _without_login(given: Settings) -> Settings:
    """Move user and password from MLflow's address to where nothing shows them; as in its client, they come first."""
    address = urlsplit(given.mlflow_tracking_uri or "")
    if address.username is None:
        return given
    login = {
        "mlflow_tracking_uri": address._replace(netloc=address.netloc.rpartition("@")[2]).geturl(),
        "mlflow_tracking_username": unquote(address.username),
        "mlflow_tracking_password": unquote(address.password or ""),
    }
    return given.model_copy(update=login)


def _on_one_server(given: Settings) -> Settings:
    """Refuse another server for models: a version is read with the run that it is of."""
    registry, runs = (urlsplit(uri or "") for uri in (given.mlflow_registry_uri, given.mlflow_tracking_uri))
    named = registry.netloc.rpartition("@")[2]
    same = (registry.scheme, named, registry.path.rstrip("/")) == (*runs[:2], runs.path.rstrip("/"))
    if given.mlflow_registry_uri and not same:
        raise PipelineError(
            "MLFLOW_REGISTRY_URI must be the server of MLFLOW_TRACKING_URI, which keeps runs and models, but is "
            f"another{f', {named}' if named else ''}: unset it."
        )
    return given


# What MLflow gives to the processes of a run of another program.
OF_ANOTHER_RUN = ("MLFLOW_RUN_ID", "MLFLOW_RUN_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")


def leave_other_runs() -> list[str]:
    """Unset the variables that name a run or an experiment, and return the names of those that were set."""
    return [name for name in OF_ANOTHER_RUN if os.environ.pop(name, None)]


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return all variables of this process, with changes, for a child process."""
    return {**os.environ, **(changes or {})}


def export(variables: Mapping[str, str]) -> None:
    """Set variables of this process, for libraries that read them and for its children."""
    os.environ.update(variables)


def export_defaults(variables: Mapping[str, str]) -> None:
    """Set those of the variables that are not set yet."""
    export({name: value for name, value in variables.items() if name not in os.environ})


LOOPBACK = ("127.0.0.1", "localhost", "::1")


def direct(*hosts: str) -> dict[str, str]:
    """Return the variables by which hosts are reached without a proxy, beside those that are already."""
    known = given.split(",") if (given := settings().no_proxy) else []
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(dict.fromkeys([*known, *hosts])))


# Capitals, as variables are written; the names of proxies are also known in small letters.
VARIABLE_FILE = re.compile("[A-Z_][A-Z0-9_]*|(http|https|no|all)_proxy", re.ASCII)


def export_mounted() -> None:
    """Set the variables that a step's pod has as files, as far as they are not set otherwise.

    A file is named after its variable; files of other names, such as certificates, stay what they are. Kubeflow sets
    some of these variables itself, and Kubernetes refuses a pod that has one twice, so they cannot be in the pod.

    Raises:
        PipelineError: A variable is no text.
    """
    for directory in filter(None, os.environ.get("STEP_ENVIRONMENT", "").split(":")):
        found = Path(directory).iterdir() if Path(directory).is_dir() else ()
        for path in found:
            if VARIABLE_FILE.fullmatch(path.name):
                export_defaults({path.name: _text_of(path)})


def _text_of(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise PipelineError(f"{path.name} must be text but {path} is none: correct the key of that name.")
    return text.removesuffix("\n")


@contextmanager
def exported(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process that are not set, for as long as the context lasts."""
    export(variables)
    try:
        yield
    finally:
        for name in variables:
            withdraw(name)


@contextmanager
def kept_environment() -> Iterator[None]:
    """Give this process its variables of before back at the end of the context."""
    before = environment()
    try:
        yield
    finally:
        os.environ.clear()
        export(before)


def withdraw(name: str) -> None:
    """Unset a variable of this process."""
    os.environ.pop(name, None)


def settings_page() -> str:
    """Return docs/settings.md."""
    rows = [("variable", "type", "default", "meaning"), ("---",) * 4]
    rows += [
        (f"`{name}`", kind, default and f"`{default}`", meaning)
        for name, kind, default, meaning in setting_rows()
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return PAGE_HEAD + re.sub(" +", " ", table) + "\n"


def setting_rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield variable, type, default and meaning of every setting, for the documentation."""
    for name, field in Settings.model_fields.items():
        annotation = str(getattr(field.annotation, "__name__", field.annotation))
        kind = annotation.replace(" | None", "").rpartition(".")[2]
        default = "" if field.default in {None, ""} else str(field.default)
        yield variables_of(name)[0], kind, default, field.description or ""


# Before any library reads its variables.
export_mounted()

if __name__ == "__main__":
    print(settings_page(), end="")
