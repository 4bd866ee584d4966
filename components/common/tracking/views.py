"""Views of an experiment that MLflow's pages open ready made: the pipeline's runs, and the trials of its searches.

MLflow's front end keeps a view that is shared as a tag of the experiment, and opens it by the key in an address.
"""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from components.common.tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW_TAG = "mlflow.sharedViewState."
RUNS_VIEW, TRIALS_VIEW = "pipeline-runs", "pipeline-trials"
MOST_RUNS = 100
ACCURACY, LATENCY = "test_accuracy", "cost/latency_ms_batch_1"
RUN_OPTIONS = ("recipe", "learning_rate", "batch_size", "epochs", "seed")


def keep_views(client: "MlflowClient", experiment_id: str, searched: Iterable[str]) -> None:
    """Give an experiment the views, in place of those of earlier runs.

    Args:
        client: Client of the server.
        experiment_id: MLflow's id of the experiment.
        searched: Names of the training options that the search varies.
    """
    known = client.get_experiment(experiment_id).tags
    for key, state in {RUNS_VIEW: _runs_view(), TRIALS_VIEW: _trials_view(searched)}.items():
        value = json.dumps(state, separators=(",", ":"))
        if known.get(VIEW_TAG + key) != value:
            client.set_experiment_tag(experiment_id, VIEW_TAG + key, value)


def _runs_view() -> dict[str, Any]:
    columns = _columns(
        tags=(tags.DATASET, tags.DECISION, tags.VERDICT),
        params=("config.recipe", "config.seed"),
        metrics=(ACCURACY, "test_errors", "test_loss", "test_robustness", LATENCY),
    )
    charts = [
        _bar("test_errors"),
        _scatter(LATENCY, ACCURACY),
        _scatter("cost/flops", ACCURACY),
        _bar("test_robustness"),
    ]
    options = _parallel([f"config.{name}" for name in RUN_OPTIONS], ACCURACY)
    return _view(
        tags.IS_PIPELINE, columns, {"The pipeline's runs": charts, "Options and accuracy": [options]}
    )


def _trials_view(searched: Iterable[str]) -> dict[str, Any]:
    options = [f"config.{name}" for name in searched]
    columns = _columns(tags=("outcome",), params=options, metrics=("val_accuracy", "val_loss"))
    charts = {"The trials of the searches": [_parallel(options, "val_accuracy")]}
    # By another order than that of time MLflow lists nested runs as they are, and not folded below those above them.
    order = {"orderByKey": "metrics.`val_accuracy`", "orderByAsc": False}
    return _view(f"tags.{tags.STEP} = 'trial'", columns, charts) | order


def _columns(**names: Iterable[str]) -> list[str]:
    return [f"{kind}.`{name}`" for kind, chosen in names.items() for name in chosen]


def _view(search: str, columns: list[str], sections: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the state of the page; MLflow puts the charts of all other metrics behind these sections."""
    ours = {"isGenerated": False, "deleted": False}
    return {
        "searchFilter": search,
        "selectedColumns": columns,
        "compareRunSections": [
            {
                **ours,
                "uuid": title,
                "name": title,
                "display": True,
                "isReordered": True,
                "columns": min(2, len(charts)),
            }
            for title, charts in sections.items()
        ],
        "compareRunCharts": [
            {
                **ours,
                **chart,
                "uuid": f"{title} {number}",
                "metricSectionId": title,
                "runsCountToCompare": MOST_RUNS,
            }
            for title, charts in sections.items()
            for number, chart in enumerate(charts)
        ],
        "isAccordionReordered": True,
        "runsHiddenMode": "SHOW_ALL",
    }


def _bar(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": metric}


def _scatter(x: str, y: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": x, "type": "METRIC"}, "yaxis": {"key": y, "type": "METRIC"}}
    return {"type": "SCATTER", **axes}


def _parallel(params: list[str], metric: str) -> dict[str, Any]:
    return {"type": "PARALLEL", "selectedParams": params, "selectedMetrics": [metric], "showAllRuns": False}
