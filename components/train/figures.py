"""Figures of a training."""

from typing import TYPE_CHECKING

from components.common.trained_model import Epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curves(history: list[Epoch]) -> "Figure":
    """Plot loss and accuracy on both splits over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), dpi=120, layout="constrained")
    epochs = [epoch.epoch for epoch in history]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [getattr(epoch, name) for epoch in history], "o-", label="training")
        axes.plot(epochs, [getattr(epoch, f"val_{name}") for epoch in history], "s--", label="validation")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure
