"""Counts and distributions of a model server, in the text format that Prometheus reads."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "mnist_pipeline_"
# Upper bounds of the parts of a distribution.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
CONFIDENCES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Sample(NamedTuple):
    """One line: labels, value, and what the name has at its end beside the family's."""

    labels: Mapping[str, str]
    value: float
    ending: str = ""


class Family(NamedTuple):
    """Lines of one name.

    Attributes:
        name: Without the prefix that all have.
        kind: `counter`, `gauge` or `histogram`.
        meaning: One line.
        samples: The lines.
    """

    name: str
    kind: str
    meaning: str
    samples: Iterable[Sample]


class _Distribution:
    """Counts of values by upper bounds, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds, self._counts, self._sum = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self, labels: Mapping[str, str]) -> Iterator[Sample]:
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        for bound, count in zip(bounds, accumulate(self._counts), strict=True):
            yield Sample({**labels, "le": bound}, count, "_bucket")
        yield Sample(labels, self._sum, "_sum")
        yield Sample(labels, sum(self._counts), "_count")


class ServeMetrics:
    """What a server has done since its start."""

    def __init__(self) -> None:
        self._requests, self._answers = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        self._seconds = defaultdict[str, _Distribution](lambda: _Distribution(SECONDS))
        self._unsure, self._refused = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        self._confidences = defaultdict[str, _Distribution](lambda: _Distribution(CONFIDENCES))

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered, or refused, with a status of HTTP."""
        self._requests[path, str(status)] += 1
        self._seconds[path].add(seconds)

    def count_refusal(self, version: str) -> None:
        """Count a picture that a version was not asked about, because it shows nothing of its kind."""
        self._refused[(version,)] += 1

    def count_answers(
        self, version: str, classes: Sequence[str], answers: NDArray[np.float32], reject_below: float
    ) -> None:
        """Count the answers of a version.

        Args:
            version: Its number.
            classes: Names of the classes.
            answers: Probabilities, N x classes.
            reject_below: Top probability below which an answer is unsure.
        """
        for place, top in zip(answers.argmax(axis=1).tolist(), answers.max(axis=1).tolist(), strict=True):
            self._answers[version, classes[place]] += 1
            self._unsure[(version,)] += top < reject_below
            self._confidences[version].add(top)

    def text(self, others: Iterable[Family]) -> str:
        """Return all lines, with those of other families."""
        lines: list[str] = []
        for name, kind, meaning, samples in (*self._families(), *others):
            lines += [f"# HELP {PREFIX}{name} {meaning}", f"# TYPE {PREFIX}{name} {kind}"]
            lines += [f"{PREFIX}{name}{ending}{_shown(labels)} {value}" for labels, value, ending in samples]
        return "\n".join([*lines, ""])

    def _families(self) -> Iterator[Family]:
        yield Family("requests_total", "counter", "Requests.", _labelled(self._requests, ("path", "status")))
        yield Family(
            "request_duration_seconds",
            "histogram",
            "Seconds from the head of a request to its answer.",
            _distributed(self._seconds, "path"),
        )
        yield Family(
            "answers_total", "counter", "Answers for images.", _labelled(self._answers, ("version", "class"))
        )
        yield Family(
            "unsure_answers_total",
            "counter",
            "Answers less probable than the version's limit.",
            _labelled(self._unsure, ("version",)),
        )
        yield Family(
            "refused_pictures_total",
            "counter",
            "Pictures that show nothing of the model's kind.",
            _labelled(self._refused, ("version",)),
        )
        yield Family(
            "answer_confidence",
            "histogram",
            "Probabilities of the answers' classes.",
            _distributed(self._confidences, "version"),
        )


def _labelled(counts: Mapping[tuple[str, ...], int], names: tuple[str, ...]) -> Iterator[Sample]:
    for values, count in counts.items():
        yield Sample(dict(zip(names, values, strict=True)), count)


def _distributed(found: Mapping[str, _Distribution], name: str) -> Iterator[Sample]:
    for value, distribution in found.items():
        yield from distribution.samples({name: value})


def _shown(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{value.translate(ESCAPED)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""
