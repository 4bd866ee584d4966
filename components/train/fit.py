"""The training of one model, from data on disk to a model directory."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.data.dataset import open_split
from components.common.data.info import DatasetInfo
from components.common.data.spec import ImageSpec
from components.common.model.training_record import MODEL_FILE, Training, weights_digest
from components.common.plan import network
from components.common.plan.training import TrainConfig
from components.common.provenance import code_provenance, compute_environment
from components.train.autosave import Autosave
from components.train.checkpoint import Checkpoint
from components.train.session import OnEpoch, Session

if TYPE_CHECKING:
    import keras


def fit_model(
    development: Path,
    config: TrainConfig,
    *,
    recipe: str,
    target: Path,
    on_epoch: OnEpoch,
    checkpoints: str | None = None,
) -> Training:
    """Train on the development data, and write the model directory.

    Args:
        development: Directory with the training and validation splits.
        config: Options of the training.
        recipe: Name of the recipe that the configuration started from.
        target: Directory for `model.keras` and `training.json`.
        on_epoch: Called after every scoring. An exception that it raises ends the training.
        checkpoints: Directory, or `s3://bucket/prefix`, for the state of the training. An interrupted training of the
            same data, configuration and code is resumed from there.

    Returns:
        The record of the training.

    Raises:
        PipelineError: The data is missing, the batch does not fit it, or the loss is no longer finite.
        UnavailableError: The place of the state did not answer for OUTAGE_SECONDS before the training began.
        SystemExit: SIGTERM arrived; the state is saved.
    """
    info = DatasetInfo.load(development)
    # Before TensorFlow starts: its start fills settings in.
    environment = compute_environment()
    session = Session(open_split(development, "train"), open_split(development, "validation"), config)
    saved = Autosave(training_checkpoint(checkpoints, info, config))
    saved.restore(session)
    with saved as autosave:
        session.run(on_epoch, autosave)
    training = _record(session, config, recipe, info, environment)
    target.mkdir(parents=True, exist_ok=True)
    _save(session.model, config, info.spec, target / MODEL_FILE)
    training.save(target)
    saved.discard()
    return training


def training_checkpoint(checkpoints: str | None, info: DatasetInfo, config: TrainConfig) -> Checkpoint | None:
    """Return the place of a training's state; trainings of the same data, configuration and code share it.

    Args:
        checkpoints: Directory, or `s3://bucket/prefix`; without one there is no such place.
        info: Description of the data.
        config: Options of the training.
    """
    key = f"{info.digest[:16]}-{config.digest()[:16]}-{_code_digest()[:16]}"
    return Checkpoint(f"{checkpoints}/{key}.npz") if checkpoints else None


def _record(
    session: Session, config: TrainConfig, recipe: str, info: DatasetInfo, environment: dict[str, str]
) -> Training:
    history = session.history
    seconds = sum(epoch.seconds for epoch in history)
    return Training(
        recipe=recipe,
        seed=config.seed,
        config=config.model_dump(mode="json"),
        parameters=session.model.count_params(),
        validation_accuracy=history[-1].val_accuracy,
        validation_loss=history[-1].val_loss,
        history=history,
        seconds=seconds,
        images_per_second=session.steps * config.batch_size / seconds,
        weights_digest=weights_digest(session.model),
        dataset=info,
        runtime=session.runtime,
        provenance=code_provenance(),
        environment=environment,
    )


def _code_digest() -> str:
    """Return the SHA-256 of the code that trains; a checkpoint of other code is not restored."""
    sources = [*sorted(Path(__file__).parent.glob("*.py")), Path(network.__file__)]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _save(model: "keras.Model", config: TrainConfig, spec: ImageSpec, path: Path) -> None:
    """Save architecture and weights alone: layers for training would keep other programs from loading the file."""
    from components.train.model import build_model

    bare = build_model(config, spec)
    bare.set_weights(model.get_weights())
    bare.save(path)
