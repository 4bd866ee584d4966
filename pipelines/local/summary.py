"""Summary of a finished run, read from the pipeline's run in MLflow."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from components.common.model.aliases import CHAMPION, HISTORY_SUFFIX
from components.common.plan.training import TUTORIAL_ACCURACY
from components.common.storage.address import shown
from components.common.tracking import tags as names
from components.common.tracking.pages import model_page, run_page, runs_page, version_page
from components.common.tracking.views import RUNS_VIEW, TRIALS_VIEW, VIEW_TAG
from pipelines.local.mlflow_api import call_mlflow, find_parent, mlflow_pages
from pipelines.local.progress import Progress, Step

PARTS = ("baseline", "tuned", "champion")
METRICS = ("test_accuracy", "test_loss", "test_macro_f1", "test_errors")


@dataclass(frozen=True)
class Summary:
    """A run's outcome; `as_json` is what `run --json` prints."""

    run_id: str
    run_name: str
    status: str
    dataset: dict[str, str | None]
    metrics: dict[str, dict[str, float]]
    decision: dict[str, Any]
    model: dict[str, Any]
    steps: list[Step]
    seconds: float
    tracking_uri: str
    experiment_id: str
    report: str | None
    log: str
    error: str | None
    warning: str | None = None  # of a run that has succeeded

    def as_json(self) -> dict[str, Any]:
        steps = [
            {"name": step.name, "seconds": round(step.seconds, 2), "status": step.status}
            for step in self.steps
        ]
        return {**asdict(self), "steps": steps}

    def links(self) -> Iterator[tuple[str, str]]:
        if not self.run_id:
            return
        yield "this run", run_page(self.tracking_uri, self.experiment_id, self.run_id)
        yield "compare runs", runs_page(self.tracking_uri, self.experiment_id, RUNS_VIEW)
        if any(step.name == "search" for step in self.steps):
            yield "trials", runs_page(self.tracking_uri, self.experiment_id, TRIALS_VIEW)
        if self.model["version"]:
            yield "model", version_page(self.tracking_uri, self.model["name"], self.model["version"])


def summarize(
    tracking_uri: str, run_name: str, progress: Progress, seconds: float, report: Path | None, log: Path
) -> Summary:
    """Read the pipeline's run in MLflow, and return its summary."""
    parent = find_parent(tracking_uri, run_name)
    info = parent["info"] if parent else {"run_id": "", "experiment_id": ""}
    data = parent["data"] if parent else {}
    tags = {tag["key"]: tag["value"] for tag in data.get("tags", [])}
    values = {metric["key"]: metric["value"] for metric in data.get("metrics", [])}
    return Summary(
        run_id=info["run_id"],
        run_name=run_name,
        status="SUCCEEDED" if progress.succeeded else "FAILED",
        dataset={"name": tags.get(names.DATASET), "digest": tags.get(names.DATA_DIGEST)},
        metrics={
            part: {metric: values[f"{part}/{metric}"] for metric in METRICS if f"{part}/{metric}" in values}
            for part in PARTS
        },
        decision={
            "action": tags.get(names.DECISION),
            "candidate": tags.get(names.CANDIDATE),
            "kept": tags.get(names.KEPT) == "True",
            "reasons": tags.get(names.DECISION_REASONS, "").splitlines(),
            "waits": tags.get(names.APPROVAL) == names.WAITING,
        },
        model=_model(tracking_uri, tags),
        steps=progress.steps,
        seconds=round(seconds, 1),
        tracking_uri=shown(tracking_uri),
        experiment_id=info["experiment_id"],
        report=str(report) if report else None,
        log=str(log),
        error=progress.error,
        warning=_missing(tracking_uri, run_name, log) if progress.succeeded and parent is None else None,
    )


def _missing(tracking_uri: str, run_name: str, log: Path) -> str:
    """Say that MLflow has nothing to tell of a run."""
    return (
        f"MLflow at {shown(tracking_uri)} must show run {run_name} but does not, as where it was deleted there, or "
        f"this user may not read it: {log} tells what it came to."
    )


def _model(tracking_uri: str, tags: dict[str, str]) -> dict[str, Any]:
    """Describe the version that the run registered; version and URI are None where it registered none."""
    name, version = tags.get(names.MODEL_NAME), tags.get(names.MODEL_VERSION)
    if not name or not version:
        return {"name": name, "version": None, "aliases": [], "uri": None}
    found = call_mlflow(tracking_uri, "model-versions/get?" + urlencode({"name": name, "version": version}))
    aliases = sorted(found["model_version"].get("aliases", []))
    return {"name": name, "version": version, "aliases": aliases, "uri": f"models:/{name}/{version}"}


def render(summary: Summary) -> Iterator[str]:
    """Yield the lines that end a run on the terminal."""
    yield ""
    for step in summary.steps:
        yield f"  {step.name:16} {step.seconds:7.1f} s  {step.status.lower()}"
    yield f"  {'whole run':16} {summary.seconds:7.1f} s  {summary.status.lower()}"
    yield ""
    if summary.dataset["name"]:
        yield f"  data      {summary.dataset['name']}, digest {(summary.dataset['digest'] or 'none')[:12]}"
    yield from _model_lines(summary)
    if summary.dataset["name"] == "mnist" and summary.metrics["baseline"]:
        yield f"  tutorial  test accuracy {TUTORIAL_ACCURACY:.4f}, as it reports for the recipe seed"
    if summary.decision["action"]:
        yield f"  decision  {summary.decision['action']}: {'; '.join(summary.decision['reasons'])}"
    if summary.model["version"]:
        model = summary.model
        yield f"  model     {model['name']} version {model['version']} ({', '.join(model['aliases'])})"
        if CHAMPION not in model["aliases"] and summary.decision["waits"]:
            yield f"  approval  it waits: mnist-pipeline models approve {model['version']} --why REASON"
    yield ""
    for title, link in summary.links():
        yield f"  {title:13} {link}"
    yield f"  {'report':13} {summary.report or 'none'}"
    if summary.warning:
        yield ""
        yield f"  {summary.warning}"
    if summary.error:
        yield ""
        yield f"  {summary.error}"
        yield f"  log: {summary.log}"
        yield f"  go on with it: mnist-pipeline runs retry {summary.run_name}"


def _model_lines(summary: Summary) -> Iterator[str]:
    for part in PARTS:
        if part == "tuned" and summary.decision["kept"]:
            yield "  tuned     the baseline is kept: the search found no better configuration"
        elif metrics := summary.metrics[part]:
            yield (
                f"  {part:9} test accuracy {metrics['test_accuracy']:.4f}  loss {metrics['test_loss']:.4f}  "
                f"macro F1 {metrics['test_macro_f1']:.4f}  errors {metrics['test_errors']:.0f}"
            )


def history_links(tracking_uri: str) -> Iterator[tuple[str, str]]:
    """Yield the MLflow pages worth opening: each experiment's runs as charts, and every registered model."""
    call = partial(call_mlflow, tracking_uri)
    for experiment in mlflow_pages(call, "experiments/search", "experiments"):
        if experiment["name"] != "Default":
            kept = {tag["key"] for tag in experiment.get("tags", [])}
            view = RUNS_VIEW if VIEW_TAG + RUNS_VIEW in kept else ""
            yield experiment["name"], runs_page(tracking_uri, experiment["experiment_id"], view)
    for model in mlflow_pages(call, "registered-models/search", "registered_models"):
        # The list of the champion's moves is for `mnist-pipeline models history`.
        if not model["name"].endswith(HISTORY_SUFFIX):
            yield model["name"], model_page(tracking_uri, model["name"])
