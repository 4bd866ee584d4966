"""The judgement of a candidate: all that the gate and the registration read of an evaluation."""

from typing import Literal

from pydantic import Field

from components.common.model.training_record import Training
from components.common.record import Record, Sha256

# Above every probability, with room for rounding: the threshold of a model none of whose answers should be accepted.
REJECT_ALL = 1.00001


class Judgement(Record):
    """The decision on a candidate, and the facts that are registered with it.

    Attributes:
        training: Record of the candidate's training, with that of its data.
        test_digest: Digest of the test split.
        candidate_files: SHA-256 of each file of the candidate's directory, by path; records of before have none.
        candidate: The model that was chosen on the validation split.
        action: `register` makes the candidate the champion, `keep` changes nothing.
        reasons: One sentence a reason.
        verdict: The candidate compared with the champion; "first" without a champion, "identical" where it is that.
        temperature: Temperature that is built into the candidate.
        reject_below: Top probability below which an answer should be rejected; `REJECT_ALL` where none is sure enough.
        champion_version: Version of the champion that the candidate was compared with; None without a champion.
        summary: Decision and metrics, Markdown.
        decision: Number of the decision on this test split between a candidate and a champion; 0 where there was none.
    """

    FILE = "judgement.json"

    training: Training
    test_digest: str
    candidate_files: dict[str, Sha256] = Field(default_factory=dict)
    candidate: Literal["baseline", "tuned"]
    action: Literal["register", "keep"]
    reasons: list[str]
    verdict: Literal["better", "worse", "equivalent", "undecided", "identical", "first"]
    temperature: float
    reject_below: float
    champion_version: str | None
    summary: str
    decision: int = 0
