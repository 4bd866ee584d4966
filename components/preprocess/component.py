"""The `preprocess` step on Kubeflow."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def preprocess(
    plan: dsl.Input[dsl.Artifact],
    raw: dsl.Input[dsl.Dataset],
    development: dsl.Output[dsl.Dataset],
    test: dsl.Output[dsl.Dataset],
) -> None:
    """Split the data into training, validation and test.

    Args:
        plan: The plan of the run.
        raw: Directory with the idx files.
        development: Training and validation split, validation report and a figure of samples.
        test: Test split; only the evaluation is given it.
    """
    from pathlib import Path

    from components.common.plan.run import RunPlan
    from components.preprocess.step import preprocess_step

    result = preprocess_step(
        RunPlan.load(Path(plan.path)),
        Path(raw.path),
        development=Path(development.path),
        test=Path(test.path),
    )
    development.metadata["digest"] = result.development.digest
    test.metadata["digest"] = result.test.digest
