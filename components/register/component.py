"""The `register` step on Kubeflow, and the exit handler."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def check_changes(
    development: dsl.Input[dsl.Dataset],
    pipeline_run_id: str,
    model_name: str,
    skip_if_unchanged: bool,
    recipe: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    seeds: int,
    trials: int,
    tuning_workers: int,
    tuning_seeds: int,
    search_space: dict,
) -> str:
    """Say "train", or "skip" where the champion was made of the same data, code and parameters.

    Args:
        development: Training and validation split.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        model_name: Registered model whose champion is looked at.
        skip_if_unchanged: False always trains.
        recipe: Named configuration to start from.
        epochs: Passes over the training split; 0 keeps the recipe's.
        batch_size: Images a step; 0 keeps the recipe's.
        learning_rate: Peak learning rate; 0 keeps the recipe's.
        seed: Seed of training and search.
        seeds: Trainings of the chosen configuration.
        trials: Configurations to try in all, the baseline included.
        tuning_workers: Workers that share the trials.
        tuning_seeds: Trainings of each finalist.
        search_space: Training options and the values to try.
    """
    from pathlib import Path

    from components.register.check_step import check_changes_step

    parameters = {
        "recipe": recipe,
        "epochs": int(epochs),
        "batch_size": int(batch_size),
        "learning_rate": float(learning_rate),
        "seed": int(seed),
        "seeds": int(seeds),
        "trials": int(trials),
        "tuning_workers": int(tuning_workers),
        "tuning_seeds": int(tuning_seeds),
        "search_space": search_space,
    }
    return check_changes_step(
        Path(development.path), pipeline_run_id, model_name, skip_if_unchanged, parameters
    )


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def register(
    candidate: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    pipeline_run_id: str,
    model_name: str,
    registered: dsl.Output[dsl.Model],
) -> None:
    """Register the candidate as a new version, and make it champion.

    Args:
        candidate: The model to register.
        evaluation: Directory with evaluation.json and summary.md.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        model_name: Registered model to add the version to.
        registered: Names the version in its metadata.
    """
    from pathlib import Path

    from components.register.step import register_step

    registration = register_step(Path(candidate.path), Path(evaluation.path), pipeline_run_id, model_name)
    registered.metadata["name"] = registration.name
    registered.metadata["version"] = registration.version
    registered.metadata["uri"] = registration.uri
    Path(registered.path).write_text(registration.uri)


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def close_run(pipeline_run_id: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """Close the run in MLflow with the status that the pipeline ended with.

    Args:
        pipeline_run_id: Kubeflow's id of this pipeline run.
        status: How the pipeline ended.
    """
    from components.register.step import close_run_step

    close_run_step(pipeline_run_id, status.state, status.error_message or "")
