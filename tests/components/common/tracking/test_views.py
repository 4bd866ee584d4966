"""The views, as MLflow's pages show them; skipped where there is no Chromium."""

import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from components.common.tracking.pages import runs_page
from components.common.tracking.views import RUNS_VIEW, TRIALS_VIEW, keep_views
from tests.servers import Platform

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
METRICS = (
    "test_errors",
    "test_accuracy",
    "test_robustness",
    "cost/flops",
    "cost/latency_ms_batch_1",
    "val_accuracy",
)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or google-chrome on the PATH")
def test_the_links_open_the_views_with_their_runs_columns_and_charts(
    mlflow_client: "MlflowClient", platform: Platform
) -> None:
    experiment = mlflow_client.create_experiment("looked at")
    above = ""
    for step, name in (("pipeline", "whole run"), ("tune", "whole search"), ("trial", "one trial")):
        tags = {"step": step} | ({"mlflow.parentRunId": above} if above else {})
        above = mlflow_client.create_run(experiment, tags=tags, run_name=name).info.run_id
        for metric in METRICS:
            mlflow_client.log_metric(above, metric, 0.5)
        for option in ("recipe", "learning_rate", "batch_size", "epochs", "seed"):
            mlflow_client.log_param(above, f"config.{option}", "1")
    for _ in range(2):
        keep_views(mlflow_client, experiment, ["learning_rate"])

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        for view, section, chart, shown, hidden in (
            (RUNS_VIEW, "The pipeline's runs", "cost/flops vs. test_accuracy", "whole run", "one trial"),
            (TRIALS_VIEW, "The trials of the searches", "Parallel Coordinates", "one trial", "whole search"),
        ):
            page.goto(runs_page(platform.tracking_uri, experiment, view))
            expect(page.get_by_text(section).first).to_be_visible(timeout=60_000)
            expect(page.get_by_role("heading", name=chart)).to_be_visible(timeout=60_000)
            expect(page.get_by_role("link", name=shown)).to_be_visible()
            expect(page.get_by_role("link", name=hidden)).to_be_hidden()
            # The pages for language models have none.
            expect(page.get_by_role("link", name="Models", exact=True)).to_be_visible()
        browser.close()
