"""The step `monitor` on Kubeflow."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def monitor(
    model: str,
    requests: str,
    hours: int,
    allow_unsigned: bool,
    window: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
) -> None:
    """Compare the last whole window of requests with the champion's reference.

    Args:
        model: The registered model.
        requests: Where the requests are kept, s3://bucket/prefix.
        hours: Length of the window.
        allow_unsigned: Whether the version may be without a signature by a trusted key.
        window: Directory with monitoring.json, the report, and the requests whose labels came in.
        metrics: Numbers of requests, and the distance and p value of each test.
        report: The self-contained report.
    """
    import shutil
    from pathlib import Path

    from components.common.model.aliases import CHAMPION
    from components.monitor.report import REPORT_FILE
    from components.monitor.step import Watch, monitor_step
    from components.monitor.window import last_window

    since, until = last_window(hours)
    watch = Watch(
        model=model,
        version=CHAMPION,
        requests=requests,
        since=since,
        until=until,
        allow_unsigned=allow_unsigned,
    )
    found = monitor_step(watch, Path(window.path)).found
    for name, value in found.metrics().items():
        metrics.log_metric(name, value)
    shutil.copy(Path(window.path) / REPORT_FILE, report.path)


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def claim(run_id: str, window: dsl.Input[dsl.Artifact], retrain: bool) -> str:
    """Return "retrain" where the window has drifted and no retraining was started for it before, else "keep".

    Args:
        run_id: Kubeflow's id of this pipeline run.
        window: What the task before found.
        retrain: Whether drift starts a retraining at all.
    """
    from pathlib import Path

    from components.monitor.step import claim_step

    return claim_step(Path(window.path), f"pipeline run {run_id}", retrain=retrain)
