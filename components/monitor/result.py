"""Result of a look at a window of requests."""

from datetime import UTC, datetime

from components.common.record import Record
from components.monitor.drift import DriftFinding, Verdict
from components.monitor.rules import Rules


class Monitoring(Record):
    """What was found in a window of requests.

    Attributes:
        model: The registered model.
        version: Number of the version that answered.
        dataset: Name of the data set that the version was trained on.
        since: Start of the window, seconds since 1970 in UTC.
        until: Its end, which is not part of it.
        requests: Number of requests that the version answered.
        others: Number of requests that other versions answered, which are not judged.
        labelled: Number of the version's requests whose label is known.
        examples: Number of images of the reference.
        rules: What counted as drift.
        findings: Of each test, the clearest first; empty where there were too few requests.
    """

    FILE = "monitoring.json"

    model: str
    version: str
    dataset: str
    since: float
    until: float
    requests: int
    others: int
    labelled: int
    examples: int
    rules: Rules
    verdict: Verdict
    findings: list[DriftFinding]

    @property
    def window(self) -> str:
        """Name of the window, for keys and file names."""
        return "-".join(
            f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}" for at in (self.since, self.until)
        )

    @property
    def period(self) -> str:
        """The window in words."""
        since, until = (
            f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in (self.since, self.until)
        )
        return f"{since} to {until} UTC"

    @property
    def drifted(self) -> list[DriftFinding]:
        """The findings that count as drift."""
        return [finding for finding in self.findings if finding.drifted]

    def metrics(self) -> dict[str, float]:
        """Return the numbers to compare windows by."""
        numbers: dict[str, float] = {
            "requests": self.requests,
            "requests_of_other_versions": self.others,
            "labelled": self.labelled,
            "drifted": len(self.drifted),
        }
        for finding in self.findings:
            numbers |= {
                f"distance/{finding.name}": finding.distance,
                f"p/{finding.name}": finding.p_value,
                f"found/{finding.name}": finding.found,
                f"reference/{finding.name}": finding.reference,
            }
        return numbers
