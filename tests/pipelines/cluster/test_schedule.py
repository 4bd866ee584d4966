import copy
import os
from typing import Any

import pytest

from tests.pipelines.cluster.conftest import CommandLine
from tests.pipelines.cluster.kubeflow import Document, Kubeflow

NIGHTLY = ("schedule", "set", "nightly", "--cron", "0 0 3 * * *")


@pytest.fixture(autouse=True)
def uploaded(kubeflow: Kubeflow, documents: tuple[Document, Document]) -> str:
    """The pipeline's id; two versions of it are on the server."""
    pipeline = {"pipeline_id": "p", "display_name": "mnist-pipeline", "name": "mnist-pipeline"}
    kubeflow.pipelines.append(pipeline)
    for version in ("older", "newest"):
        spec = {"pipeline_spec": copy.deepcopy(documents[0]), "platform_spec": documents[1]}
        named = {"pipeline_version_id": version, "name": version, "display_name": version}
        kubeflow.versions.append({"pipeline_id": "p", **named, "pipeline_spec": spec})
    return "p"


def test_a_schedule_follows_the_newest_version_one_run_at_a_time_without_catching_up(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, uploaded: str
) -> None:
    done = mnist_pipeline(*NIGHTLY, "--set", "trials=2")
    assert (done.status, done.out, done.err) == (0, ["created  nightly  0 0 3 * * *"], [])
    (recurring,) = kubeflow.recurring_runs
    assert recurring["pipeline_version_reference"] == {"pipeline_id": uploaded}
    assert recurring["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (recurring["max_concurrency"], recurring["no_catchup"]) == ("1", True)
    assert recurring["runtime_config"]["parameters"] == {
        "trials": 2,
        "options": {"gate.skip_if_unchanged": True, "data.version": "[[CurrentTime]]"},
    }


def test_set_twice_is_one_schedule(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    options = ("--set", "trials=2", "--set", "learning_rate=0.01", "--set", 'node_selector={"pool": "gpu"}')
    mnist_pipeline(*NIGHTLY, *options)
    (first,) = kubeflow.recurring_runs
    assert mnist_pipeline(*NIGHTLY, *options).out == ["unchanged  nightly  0 0 3 * * *"]
    assert kubeflow.recurring_runs == [first]


def test_drift_is_looked_for_on_a_schedule(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    assert mnist_pipeline("upload", "--monitoring").status == 0
    drift = ("schedule", "set", "drift", "--pipeline", "mnist-monitoring", "--cron", "0 30 0 * * *")
    options = ("--set", "monitor_requests=s3://bucket/requests", "--set", "monitor_retrain=true")
    assert mnist_pipeline(*drift, *options).out == ["created  drift  0 30 0 * * *"]
    assert mnist_pipeline(*drift, *options).out == ["unchanged  drift  0 30 0 * * *"]
    given = kubeflow.recurring_runs[0]["runtime_config"]["parameters"]
    assert (given["monitor_requests"], given["monitor_retrain"]) == ("s3://bucket/requests", True)
    refused = mnist_pipeline(*NIGHTLY, *options)
    assert "not required by pipeline: monitor_requests, monitor_retrain" in refused.err[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"--cron": "0 0 4 * * *"},
        {"--set": "trials=3"},
        {"--set": "skip_if_unchanged=false"},
        {"--set": "data_version=2026-11"},
        {"--service-account": "trainer"},
        {"--start": "2126-01-01"},
        {"--end": "2126-01-01T18:00+01:00"},
    ],
)
def test_a_change_replaces_the_schedule(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, changed: dict[str, str]
) -> None:
    mnist_pipeline(*NIGHTLY)
    (first,) = kubeflow.recurring_runs
    done = mnist_pipeline(*NIGHTLY, *(text for option in changed.items() for text in option))
    assert done.out[0].startswith("replaced  nightly")
    (second,) = kubeflow.recurring_runs
    assert second["recurring_run_id"] != first["recurring_run_id"]
    assert [line.partition(" ")[0] for line in kubeflow.requests[-2:]] == ["POST", "DELETE"]


@pytest.mark.parametrize(
    "by_hand",
    [
        {"max_concurrency": "3"},
        {"no_catchup": False},
        {"pipeline_version_reference": {"pipeline_id": "p", "pipeline_version_id": "pinned"}},
    ],
)
def test_what_was_changed_by_hand_is_set_right(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, by_hand: dict[str, Any]
) -> None:
    mnist_pipeline(*NIGHTLY)
    declared = kubeflow.recurring_runs[0].copy()
    kubeflow.recurring_runs[0].update(by_hand)
    assert mnist_pipeline(*NIGHTLY).out[0].startswith("replaced")
    (restored,) = kubeflow.recurring_runs
    made = {"recurring_run_id", "created_at"}
    assert {key: restored[key] for key in restored.keys() - made} == {
        key: declared[key] for key in declared.keys() - made
    }


def test_duplicates_of_a_set_that_broke_off_go_and_other_schedules_stay(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    mnist_pipeline("schedule", "set", "weekly", "--cron", "0 0 3 * * SUN")
    mnist_pipeline(*NIGHTLY)
    kept = kubeflow.recurring_runs[-1]
    kubeflow.recurring_runs.insert(0, {**kept, "recurring_run_id": "old", "max_concurrency": "2"})
    assert mnist_pipeline(*NIGHTLY).out[0].startswith("replaced")
    assert [entry["display_name"] for entry in kubeflow.recurring_runs] == ["weekly", "nightly"]
    assert kubeflow.recurring_runs[-1] is kept


def test_where_the_new_one_is_refused_the_old_one_stays(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    mnist_pipeline(*NIGHTLY)
    parameters = kubeflow.versions[-1]["pipeline_spec"]["pipeline_spec"]["root"]["inputDefinitions"][
        "parameters"
    ]
    del parameters["trials"]
    done = mnist_pipeline(*NIGHTLY, "--set", "trials=3")
    assert done.status == 1
    assert "(HTTP 400: parameter(s) provided are not required by pipeline: trials): correct" in done.err[0]
    assert len(kubeflow.recurring_runs) == 1


def test_a_crontabs_five_fields_are_taken_and_explained(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    done = mnist_pipeline("schedule", "set", "nightly", "--cron", "0 3 * * *")
    assert done.out == [
        "Kubeflow's cron has six fields, seconds first: '0 3 * * *' is set as '0 0 3 * * *'.",
        "created  nightly  0 0 3 * * *",
    ]
    assert mnist_pipeline(*NIGHTLY).out == ["unchanged  nightly  0 0 3 * * *"]
    assert len(kubeflow.recurring_runs) == 1


@pytest.mark.parametrize("command", [("schedule", "delete", "nightly"), (*NIGHTLY, "--set", "trials=3")])
def test_a_schedule_stays_while_a_run_of_it_is_in_progress(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, command: tuple[str, ...]
) -> None:
    """Kubernetes deletes a recurring run's workflows with it."""
    mnist_pipeline(*NIGHTLY)
    (recurring,) = kubeflow.recurring_runs
    for run_id, state in (("first", "SUCCEEDED"), ("second", "RUNNING")):
        of_it = {
            "recurring_run_id": recurring["recurring_run_id"],
            "experiment_id": recurring["experiment_id"],
        }
        kubeflow.runs.append({"run_id": run_id, "display_name": run_id, "state": state, **of_it})
    refused = mnist_pipeline(*command)
    link = f"{os.environ['KF_PIPELINES_ENDPOINT']}/#/runs/details/second"
    assert (refused.status, len(refused.err)) == (1, 1)
    assert refused.err[0].startswith("error: a run of schedule 'nightly' is in progress")
    assert refused.err[0].endswith(f"({link}).")
    assert kubeflow.recurring_runs == [recurring]
    assert mnist_pipeline(*NIGHTLY).out == ["unchanged  nightly  0 0 3 * * *"]

    kubeflow.runs[1]["state"] = "FAILED"
    assert mnist_pipeline(*command).status == 0
    assert recurring not in kubeflow.recurring_runs


def test_list_show_and_delete(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    assert mnist_pipeline("schedule", "list").out == ["no schedules yet"]
    mnist_pipeline(*NIGHTLY)
    mnist_pipeline("schedule", "set", "weekly", "--cron", "0 0 3 * * SUN")
    kubeflow.recurring_runs[1]["status"] = "DISABLED"
    assert mnist_pipeline("schedule", "list").out == [
        "state    cron           schedule  experiment  pipeline",
        "enabled  0 0 3 * * *    nightly   Default     mnist-pipeline",
        "paused   0 0 3 * * SUN  weekly    Default     mnist-pipeline",
    ]
    shown = dict(line.strip().split(maxsplit=1) for line in mnist_pipeline("schedule", "show", "nightly").out)
    assert shown["cron"].startswith("0 0 3 * * * ")
    assert "'gate.skip_if_unchanged': True" in shown["options"]
    assert shown["pipeline"] == "version    the newest at every run"
    identity = kubeflow.recurring_runs[0]["recurring_run_id"]
    link = f"{os.environ['KF_PIPELINES_ENDPOINT']}/#/recurringrun/details/{identity}"
    assert link in mnist_pipeline("schedule", "show", "nightly").out[-1]
    assert mnist_pipeline("schedule", "delete", "nightly").out == ["deleted  nightly"]
    assert [entry["display_name"] for entry in kubeflow.recurring_runs] == ["weekly"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("show", "none"),
            "a schedule of pipeline 'mnist-pipeline' must exist but 'none' does not (there is: nightly): choose one",
        ),
        (
            ("delete", "none"),
            "a schedule of pipeline 'mnist-pipeline' must exist but 'none' does not (there is: nightly): choose one",
        ),
        (("set", "x", "--cron", "0 3 * *"), "--cron takes six fields"),
        (
            ("set", "x", "--cron", "0 3 * * *", "--set", "epoch=1"),
            "an option must have a name of the plan but got 'epoch'",
        ),
        (("set", "x", "--cron", "0 0 3 * * *", "--experiment", "none"), "--experiment must exist but 'none'"),
        (
            ("set", "x", "--cron", "0 0 3 * * *", "--pipeline", "other"),
            "--pipeline must be on the server but 'other'",
        ),
        (
            ("set", "x", "--cron", "0 0 3 * * *", "--time-zone", "Mars"),
            "--time-zone must be a time zone's name",
        ),
        (("set", "x", "--cron", "0 0 3 * * *", "--end", "2020-01-01"), "--end must come after now but is"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, arguments: tuple[str, ...], message: str
) -> None:
    mnist_pipeline(*NIGHTLY)
    done = mnist_pipeline("schedule", *arguments)
    assert done.status == 1
    assert done.err[-1].startswith(f"error: {message}")
    assert len(kubeflow.recurring_runs) == 1


def _of_others(kubeflow: Kubeflow) -> list[Document]:
    """Set two schedules called nightly: of this pipeline in another experiment, and of another pipeline."""
    kubeflow.pipelines.append({"pipeline_id": "q", "display_name": "theirs", "name": "theirs"})
    other = kubeflow.add_experiment("other")["experiment_id"]
    default = kubeflow.experiments[0]["experiment_id"]
    for number, (pipeline, experiment) in enumerate([("p", other), ("q", default)]):
        kubeflow.recurring_runs.append(
            {
                "recurring_run_id": f"theirs-{number}",
                "display_name": "nightly",
                "experiment_id": experiment,
                "pipeline_version_reference": {"pipeline_id": pipeline},
                "trigger": {"cron_schedule": {"cron": "0 0 5 * * *"}},
                "status": "ENABLED",
            }
        )
    return list(kubeflow.recurring_runs)


def test_schedules_of_the_same_name_elsewhere_are_left_alone(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    theirs = copy.deepcopy(_of_others(kubeflow))
    assert mnist_pipeline(*NIGHTLY).out == [
        "created  nightly  0 0 3 * * *",
        "left alone: another 'nightly', of pipeline mnist-pipeline in experiment other",
        "left alone: another 'nightly', of pipeline theirs in experiment Default",
    ]
    assert mnist_pipeline(*NIGHTLY, "--set", "trials=3").out[0].startswith("replaced")
    (refused,) = mnist_pipeline("schedule", "delete", "nightly").err
    assert "'nightly' is in several experiments (other, Default): name one with --experiment" in refused
    assert mnist_pipeline("schedule", "delete", "nightly", "--experiment", "Default").status == 0
    assert kubeflow.recurring_runs == theirs


def test_a_paused_schedule_stays_paused_until_it_is_resumed(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    mnist_pipeline(*NIGHTLY)
    assert mnist_pipeline("schedule", "pause", "nightly").out == ["paused  nightly"]
    assert mnist_pipeline(*NIGHTLY).out == ["unchanged, paused  nightly  0 0 3 * * *"]
    assert mnist_pipeline(*NIGHTLY, "--catch-up").out == ["replaced, paused  nightly  0 0 3 * * *"]
    (recurring,) = kubeflow.recurring_runs
    assert (recurring["status"], recurring.get("no_catchup", False)) == ("DISABLED", False)
    assert mnist_pipeline("schedule", "resume", "nightly").out == ["resumed  nightly"]
    assert recurring["status"] == "ENABLED"


def test_a_run_at_once_is_as_the_schedules_own_and_alone(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    mnist_pipeline(*NIGHTLY, "--set", "trials=2")
    (recurring,) = kubeflow.recurring_runs
    assert mnist_pipeline("schedule", "run-now", "nightly").status == 0
    (run,) = kubeflow.runs
    assert run["runtime_config"]["parameters"] == recurring["runtime_config"]["parameters"]
    assert run["pipeline_version_reference"] == {"pipeline_id": "p", "pipeline_version_id": "newest"}
    assert (run["experiment_id"], run["service_account"]) == (recurring["experiment_id"], "mnist-pipeline")
    run |= {"recurring_run_id": recurring["recurring_run_id"], "state": "RUNNING"}
    (refused,) = mnist_pipeline("schedule", "run-now", "nightly").err
    assert refused.startswith("error: a schedule runs one at a time but a run of 'nightly' is in progress")


def test_a_time_zone_is_put_into_the_schedulers(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    kolkata = ("--time-zone", "Asia/Kolkata")
    done = mnist_pipeline("schedule", "set", "x", "--cron", "0 3 * * MON", *kolkata, "--end", "2126-01-01")
    assert done.out == [
        "Kubeflow's cron has six fields, seconds first: '0 3 * * MON' is set as '0 0 3 * * MON'.",
        "Kubeflow's scheduler runs in UTC: '0 0 3 * * MON' in Asia/Kolkata is set as '0 30 21 * * 0'.",
        "created  x  0 30 21 * * 0",
    ]
    (recurring,) = kubeflow.recurring_runs
    assert recurring["trigger"]["cron_schedule"]["end_time"].startswith("2126-01-01T00:00:00")
    shown = dict(line.split(maxsplit=1) for line in mnist_pipeline("schedule", "show", "x").out)
    assert shown["end"] == "2125-12-31 18:30:00 UTC"
