"""Train one model and leave it in a directory: the model, what it came from."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.data.dataset import open_split, read_info
from components.common.model.training_record import MODEL_FILE, Epoch, Training
from components.common.plan.training import TrainConfig
from components.train.checkpoint import Checkpoint
from components.train.fit import run
from components.train.model import build_model
from components.train.trainer import Trainer
from components.train.weights import weights_digest

if TYPE_CHECKING:
    import keras


def train(
    development: Path,
    config: TrainConfig,
    recipe: str,
    target: Path,
    on_epoch: Callable[[Epoch], None],
    checkpoints: str | None = None,
) -> Training:
    """Train on the development data and write the model directory.

    Args:
        development: Directory with the training and validation splits.
        config: What to train.
        recipe: The name that the configuration started from.
        target: Directory for model.keras and training.json.
        on_epoch: Called after every scoring.
        checkpoints: Directory, or s3://bucket/prefix, in which an interrupted training left its state, and this one
            keeps its own.
    """
    info = read_info(development)
    splits = open_split(development, "train"), open_split(development, "validation")
    key = f"{info.digest[:16]}-{config.digest()[:16]}-{_code_digest()[:16]}"
    checkpoint = Checkpoint(f"{checkpoints}/{key}.npz") if checkpoints else None
    trainer = Trainer(*splits, config)
    run(trainer, on_epoch, checkpoint)
    model, history = trainer.model, trainer.history
    seconds = sum(epoch.seconds for epoch in history)
    training = Training(
        recipe=recipe,
        seed=config.seed,
        config=config.model_dump(mode="json"),
        parameters=model.count_params(),
        validation_accuracy=history[-1].val_accuracy,
        validation_loss=history[-1].val_loss,
        history=history,
        seconds=seconds,
        images_per_second=trainer.steps * config.batch_size / seconds,
        weights_digest=weights_digest(model),
        dataset_name=info.name,
        dataset_digest=info.digest,
        runtime=trainer.runtime,
    )
    target.mkdir(parents=True, exist_ok=True)
    _save(model, config, target / MODEL_FILE)
    training.save(target)
    if checkpoint:
        checkpoint.delete()
    return training


def _code_digest() -> str:
    """Name the code that trains: a checkpoint of other code is not taken up."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _save(model: "keras.Model", config: TrainConfig, path: Path) -> None:
    """Save architecture and weights alone: what only training needs would keep others from loading the file."""
    bare = build_model(config)
    bare.set_weights(model.get_weights())
    bare.save(path)
