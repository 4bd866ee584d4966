"""A verified model that a server answers with."""

from dataclasses import dataclass

from pipelines.models.predict import Answerer


@dataclass(frozen=True)
class Served:
    """A verified model.

    Attributes:
        classifier: What answers.
        reject_below: Top probability below which an answer is unsure.
        name: The registered model, or the directory of the files.
        version: Its number; "" where the files of a directory are served.
    """

    classifier: Answerer
    reject_below: float
    name: str
    version: str

    @property
    def about(self) -> str:
        """Name and version for people."""
        return f"{self.name} version {self.version}" if self.version else self.name
