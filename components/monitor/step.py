"""The step `monitor`: a window of requests compared with the reference of the version that answered them."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from components.common.data.request_log import FORMS, Requests, read_requests
from components.common.errors import PipelineError
from components.common.model.lineage import LINEAGE, Lineage
from components.common.model.reference import Reference
from components.common.model.stored_version import fetch_version
from components.common.narration import exit_on_stated_error, say
from components.common.notify import Notice, notify
from components.common.patience import patiently
from components.common.storage.object_store import ObjectStore
from components.common.tracking.client import mlflow_must_answer, tracking_client
from components.monitor.drift import DriftFinding, Verdict, judge_window, measure_window
from components.monitor.figures import WindowData
from components.monitor.labels import read_labels
from components.monitor.report import finding_rows, verdict_certainty, verdict_headline, write_monitoring
from components.monitor.result import Monitoring
from components.monitor.retraining import claim_retraining, keep_labelled
from components.monitor.rules import FALSE_ALARMS, TOLERATED, Rules
from components.monitor.track import TrackedLook, mark_told, track

STEP = "monitor"


@dataclass(frozen=True)
class Watch:
    """What to look at.

    Attributes:
        model: The registered model.
        version: A number or an alias.
        requests: Where `serve --log-requests` keeps them, `s3://bucket/prefix`.
        since: Start of the window, seconds since 1970 in UTC.
        until: Its end, which is not part of it.
        false_alarms: Share of windows without drift in which drift may be found.
        tolerated: Share of the requests that may be otherwise.
        allow_unsigned: Whether the version may be without a signature by a trusted key.
    """

    model: str
    version: str
    requests: str
    since: float
    until: float
    false_alarms: float = FALSE_ALARMS
    tolerated: float = TOLERATED
    allow_unsigned: bool = False


@dataclass(frozen=True)
class Outcome:
    """The result of a look.

    Attributes:
        found: What was found.
        lineage: Records of the version.
        link: Address of the look in MLflow.
    """

    found: Monitoring
    lineage: Lineage
    link: str


@dataclass(frozen=True, eq=False)
class _Version:
    number: str
    reference: Reference
    lineage: Lineage


@dataclass(frozen=True, eq=False)
class _Look:
    """A window that was judged, with the requests of the version and their labels."""

    found: Monitoring
    requests: Requests | None
    labels: NDArray[np.int64]
    data: WindowData | None


def monitor_step(watch: Watch, target: Path) -> Outcome:
    """Look as `monitor_requests` does; a stated error ends the process in one line."""
    with exit_on_stated_error(STEP):
        return monitor_requests(watch, target)


def monitor_requests(watch: Watch, target: Path) -> Outcome:
    """Judge a window, write the report, record both in MLflow, and tell of drift.

    Args:
        watch: What to look at.
        target: Directory for the report, the result, and the requests whose labels came in.

    Raises:
        PipelineError: There is no such version, it has no reference, its requests are of other images, or MLflow or the
            store refuses.
        UnavailableError: MLflow or the store does not answer for OUTAGE_SECONDS.
    """
    store, prefix = ObjectStore.for_uri(watch.requests.rstrip("/"))
    version = patiently(STEP, lambda: _fetched(watch))
    logged = patiently(STEP, lambda: read_requests(store, prefix, watch.since, watch.until))
    look = _judged(watch, version, store, prefix, logged)
    target.mkdir(parents=True, exist_ok=True)
    write_monitoring(target, look.found, look.data)
    if look.requests is not None:
        keep_labelled(target, look.requests.images, look.labels)

    def tracked() -> TrackedLook:
        with mlflow_must_answer():
            return track(look.found, target, version.lineage.plan.registry.experiment)

    kept = patiently(STEP, tracked)
    _tell(look.found, kept)
    return Outcome(look.found, version.lineage, kept.link)


def _tell(found: Monitoring, kept: TrackedLook) -> None:
    """Say what was found, and tell of drift once for each window."""
    lines = [
        f"{finding.title}: {' -> '.join(cells[:2])}"
        for finding, cells in finding_rows(found)
        if finding.drifted
    ]
    for line in (verdict_headline(found), *lines):
        say(STEP, line)
    if found.verdict != "drift" or kept.told:
        return
    notify(Notice("drift", verdict_headline(found), (*lines, verdict_certainty(found)), kept.link))

    def marked() -> None:
        with mlflow_must_answer():
            mark_told(kept)

    patiently(STEP, marked)


def claim_step(window: Path, owner: str, *, retrain: bool) -> str:
    """Return "retrain" where a window has drifted and its retraining is this owner's to start, else "keep"."""
    with exit_on_stated_error(STEP):
        found = Monitoring.load(window)
        wanted = retrain and found.verdict == "drift"
        return "retrain" if wanted and claim_retraining(found, window, owner) else "keep"


def _fetched(watch: Watch) -> _Version:
    client = tracking_client()
    if client is None:
        raise PipelineError(
            "the version's reference must come from MLflow but MLFLOW_TRACKING_URI is not set: name a server."
        )
    with mlflow_must_answer(), TemporaryDirectory() as scratch:
        number = watch.version.removeprefix("v")
        if not number.isdecimal():
            number = str(client.get_model_version_by_alias(watch.model, watch.version).version)
        directory = Path(scratch, "model")
        fetched = fetch_version(client, watch.model, number, directory, allow_unsigned=watch.allow_unsigned)
        if fetched.problems:
            raise PipelineError(
                f"{watch.model} version {number} must be what was registered but {'; '.join(fetched.problems)}: "
                "choose another version."
            )
        return _Version(number, Reference.load(directory), Lineage.load(directory / LINEAGE))


def _judged(
    watch: Watch, version: _Version, store: ObjectStore, prefix: str, logged: Requests | None
) -> _Look:
    plan, dataset = version.lineage.plan, version.lineage.training.dataset
    classes, reference = dataset.spec.classes, version.reference
    rules = Rules(watch.false_alarms, watch.tolerated, plan.gate.margin)
    own = _of_version(logged, version.number) if logged else None
    labels, data = np.empty(0, np.int64), None
    verdict: Verdict = "too-few"
    findings: list[DriftFinding] = []
    if own is not None:
        labels = patiently(STEP, lambda: read_labels(store, prefix, own.ids, classes))
        window = measure_window(own, labels, reference)
        verdict, findings = judge_window(reference, window, rules, classes)
    found = Monitoring(
        model=watch.model,
        version=version.number,
        dataset=dataset.name,
        since=watch.since,
        until=watch.until,
        requests=len(labels),
        others=(len(logged) if logged else 0) - len(labels),
        labelled=int((labels >= 0).sum()),
        examples=reference.examples,
        rules=rules,
        verdict=verdict,
        findings=findings,
    )
    if own is not None and findings:
        data = WindowData(found, dataset.spec, reference, window, own.images)
    return _Look(found, own, labels, data)


def _of_version(logged: Requests, number: str) -> Requests | None:
    """Return the requests that a version answered; None where there are none."""
    rows = np.flatnonzero(logged.versions == number)
    return Requests(*(getattr(logged, name)[rows] for name in FORMS)) if len(rows) else None
