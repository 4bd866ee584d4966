"""Robustness and cost of a model."""

from dataclasses import dataclass

from components.common.data.dataset import Split
from components.common.model.classifier import Classifier
from components.evaluate.cost import Cost, measure_cost
from components.evaluate.robustness import RobustnessCurve, mean_robustness, measure_robustness


@dataclass(frozen=True)
class Profile:
    """Accuracy on corrupted images, size and latency of a model."""

    robustness: list[RobustnessCurve]
    cost: Cost

    def headline(self) -> dict[str, float]:
        """Return the numbers to log by name; times in milliseconds, size in bytes."""
        return {
            "test_robustness": mean_robustness(self.robustness),
            "cost/parameters": float(self.cost.parameters),
            "cost/model_bytes": float(self.cost.size),
            "cost/flops": float(self.cost.flops),
            "cost/latency_ms_batch_1": self.cost.latency_1,
            "cost/latency_ms_batch_256": self.cost.latency_256,
        }


def measure_profile(classifier: Classifier, split: Split) -> Profile:
    """Measure robustness on the split, and cost on this machine."""
    return Profile(measure_robustness(classifier.probabilities, split), measure_cost(classifier))
