"""The step `monitor` on Kubeflow."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def monitor(
    run_id: str,
    model: str,
    requests: str,
    hours: int,
    retrain: bool,
    allow_unsigned: bool,
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
) -> str:
    """Compare the last whole window of requests with the champion's reference; return "retrain" or the verdict.

    Args:
        run_id: Kubeflow's id of this pipeline run.
        model: The registered model.
        requests: Where the requests are kept, s3://bucket/prefix.
        hours: Length of the window.
        retrain: Whether drift starts a retraining, once for each window.
        allow_unsigned: Whether the version may be without a signature by a trusted key.
        metrics: Numbers of requests, and the distance and p value of each test.
        report: The self-contained report.
    """
    import shutil
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from components.monitor.report import REPORT_FILE
    from components.monitor.step import Watch, monitor_step
    from components.monitor.window import last_window

    since, until = last_window(hours)
    watch = Watch(
        model=model,
        requests=requests,
        since=since,
        until=until,
        retrain_for=f"pipeline run {run_id}" if retrain else "",
        allow_unsigned=allow_unsigned,
    )
    with TemporaryDirectory() as scratch:
        outcome = monitor_step(watch, Path(scratch))
        for name, value in outcome.found.metrics().items():
            metrics.log_metric(name, value)
        shutil.copy(Path(scratch, REPORT_FILE), report.path)
    return "retrain" if outcome.retrain else outcome.found.verdict
