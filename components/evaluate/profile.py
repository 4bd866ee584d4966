"""What is worth knowing of a model beside its accuracy."""

from dataclasses import dataclass

from components.common.data.dataset import Split
from components.common.model.classifier import Classifier
from components.evaluate.cost import Cost, cost
from components.evaluate.robustness import RobustnessCurve, mean_robustness, robustness


@dataclass(frozen=True)
class Profile:
    """How a model takes damaged images, and what it costs."""

    robustness: list[RobustnessCurve]
    cost: Cost

    def headline(self) -> dict[str, float]:
        """The numbers to log, by name; times in milliseconds, size in bytes."""
        return {
            "test_robustness": mean_robustness(self.robustness),
            "cost/parameters": float(self.cost.parameters),
            "cost/model_bytes": float(self.cost.size),
            "cost/flops": float(self.cost.flops),
            "cost/latency_ms_batch_1": self.cost.latency_1,
            "cost/latency_ms_batch_256": self.cost.latency_256,
        }


def profile(classifier: Classifier, split: Split) -> Profile:
    return Profile(robustness(classifier.probabilities, split), cost(classifier))
