"""Report on a window of requests: one self-contained page, and the numbers behind it."""

from dataclasses import dataclass
from pathlib import Path

from components.common.report.page import inlined, page_templates
from components.common.report.theme import render_figure
from components.monitor.drift import LEAST_REQUESTS, DriftFinding
from components.monitor.figures import WindowData, window_panels
from components.monitor.result import Monitoring

REPORT_FILE = "monitoring.html"
MOST_NAMED = 3


@dataclass(frozen=True)
class Number:
    """One number of the first screen; `note` gives a number to compare it with."""

    name: str
    value: str
    note: str


def write_monitoring(target: Path, found: Monitoring, data: WindowData | None) -> None:
    """Write report and result into an existing directory.

    Args:
        target: The directory.
        found: The result.
        data: What figures show; None for a window that was not judged.
    """
    panels = window_panels(data) if data and found.findings else []
    drawn = [(panel, render_figure(panel.draw)) for panel in panels]
    found.save(target)
    templates = page_templates(Path(__file__).with_name("templates"))
    page = templates.get_template(REPORT_FILE).render(
        found=found,
        headline=verdict_headline(found),
        certainty=verdict_certainty(found),
        numbers=first_numbers(found),
        rows=finding_rows(found),
        figures=inlined(drawn),
    )
    (target / REPORT_FILE).write_text(page + "\n")


def verdict_headline(found: Monitoring) -> str:
    """Return the verdict in one line."""
    if found.verdict == "too-few":
        return f"Not judged: {found.requests} requests of {found.model} v{found.version} are too few"
    if found.verdict == "none":
        return f"No drift in {found.requests:,} requests of {found.model} v{found.version}"
    titles = [finding.title for finding in found.drifted]
    more = f" and {len(titles) - MOST_NAMED} more" if len(titles) > MOST_NAMED else ""
    listed = ", ".join(titles[:MOST_NAMED]) + more
    return f"Drift in {found.requests:,} requests of {found.model} v{found.version}: {listed}"


def verdict_certainty(found: Monitoring) -> str:
    """Return what the verdict is worth."""
    if found.verdict == "too-few":
        return f"A window is judged from {LEAST_REQUESTS} requests of the version on."
    rules = found.rules
    return (
        f"All tests together find drift in at most {rules.false_alarms:.0%} of windows that have none. "
        f"A change of up to {rules.tolerated:.0%} of the images counts as none."
    )


def first_numbers(found: Monitoring) -> list[Number]:
    """Return the numbers of the first screen, in order."""
    others = f"{found.others:,} of other versions" if found.others else "all of this version"
    numbers = [Number("Requests", f"{found.requests:,}", others)]
    if not found.findings:
        return numbers
    named = {finding.name: finding for finding in found.findings}
    numbers.append(Number("Tests with drift", f"{len(found.drifted)}", f"of {len(found.findings)}"))
    for name, title in (("unlike", "Unlike images"), ("rejected", "Rejected answers")):
        numbers.append(Number(title, f"{named[name].found:.1%}", f"reference {named[name].reference:.1%}"))
    confidence = named["confidence"]
    numbers.append(
        Number("Median confidence", f"{confidence.found:.3f}", f"reference {confidence.reference:.3f}")
    )
    if mistakes := named.get("mistakes"):
        numbers.append(
            Number(
                "Accuracy",
                f"{1 - mistakes.found:.4f}",
                f"{found.labelled:,} labelled; reference {1 - mistakes.reference:.4f}",
            )
        )
    else:
        numbers.append(Number("Accuracy", "\N{EN DASH}", "no labels came in"))
    return numbers


def finding_rows(found: Monitoring) -> list[tuple[DriftFinding, list[str]]]:
    """Return each finding with the cells of its row: reference, requests, distance, p value."""
    return [(finding, _cells(finding)) for finding in found.findings]


def _cells(finding: DriftFinding) -> list[str]:
    share = finding.kind == "share"
    shown = [f"{value:.1%}" if share else f"{value:.3g}" for value in (finding.reference, finding.found)]
    p_value = f"{finding.p_value:.2g}" if finding.p_value >= 1e-4 else "below 0.0001"
    return [*shown, f"{finding.distance:.3f}", p_value]
