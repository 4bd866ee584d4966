"""The `evaluate` step and its gate on Kubeflow."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def evaluate(
    plan: dsl.Input[dsl.Artifact],
    test: dsl.Input[dsl.Dataset],
    development: dsl.Input[dsl.Dataset],
    baseline: dsl.Input[dsl.Model],
    tuned: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    candidate: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    confusion_matrix: dsl.Output[dsl.ClassificationMetrics],
    roc_curve: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
) -> str:
    """Judge baseline, tuned model and champion on the same test images, and return the SHA-256 of judgement.json.

    Args:
        plan: The plan of the run.
        test: Test split.
        development: Its validation split calibrates the models.
        baseline: The trained baseline.
        tuned: The model trained with the best configuration.
        evaluation: Directory with evaluation.json, judgement.json, report, model card, figures and tables.
        candidate: The better of both models on validation, calibrated.
        metrics: Headline metrics of baseline, tuned model and champion.
        confusion_matrix: Of the candidate; empty for more than 50 classes.
        roc_curve: Of the candidate, over all one-vs-rest decisions.
        report: The self-contained report.
        summary: The verdict in a few lines.
    """
    import shutil
    from pathlib import Path

    from components.common.model.judgement import Judgement
    from components.common.plan.run import RunPlan
    from components.common.storage.files import sha256_file
    from components.evaluate.judge import EvaluationInputs
    from components.evaluate.step import evaluate_step, small_confusion_matrix

    artifacts = {"test": test, "development": development, "baseline": baseline, "tuned": tuned}
    inputs = EvaluationInputs(**{name: Path(artifact.path) for name, artifact in artifacts.items()})
    result = evaluate_step(
        RunPlan.load(Path(plan.path)), inputs, target=Path(evaluation.path), candidate=Path(candidate.path)
    )
    for name, value in result.headline().items():
        metrics.log_metric(name, value)
    curve = result.candidate_metrics.pooled_roc
    if matrix := small_confusion_matrix(result):
        confusion_matrix.log_confusion_matrix(*matrix)
    roc_curve.log_roc_curve(curve.false_positive_rate, curve.true_positive_rate, curve.thresholds)
    shutil.copy(Path(evaluation.path) / "report.html", report.path)
    shutil.copy(Path(evaluation.path) / "summary.md", summary.path)
    # Other steps can write to the artifacts, but not to what Kubeflow keeps of this task.
    return sha256_file(Path(evaluation.path) / Judgement.FILE)


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def gate(plan: dsl.Input[dsl.Artifact], evaluation: dsl.Input[dsl.Artifact]) -> str:
    """Return "register" or "keep".

    Args:
        plan: The plan of the run.
        evaluation: Directory with judgement.json.
    """
    from pathlib import Path

    from components.common.plan.run import RunPlan
    from components.evaluate.step import gate_step

    return gate_step(RunPlan.load(Path(plan.path)), Path(evaluation.path))
