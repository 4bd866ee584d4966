import re
from pathlib import Path

import numpy as np
import pytest

from components.common.data.spec import DIGITS, MNIST_SPEC
from components.monitor.drift import judge_window, measure_window
from components.monitor.figures import WindowData, window_panels
from components.monitor.report import REPORT_FILE, verdict_headline, write_monitoring
from components.monitor.result import Monitoring
from components.monitor.rules import Rules
from tests.components.monitor.conftest import Watched


@pytest.fixture(scope="module")
def data(watched: Watched) -> WindowData:
    """A window of 300 dark digits, half of which have labels."""
    images, labels = watched.images[:300] // 3, watched.labels[:300].copy()
    labels[::2] = -1
    window = measure_window(watched.requests(images), labels, watched.reference)
    verdict, findings = judge_window(watched.reference, window, Rules(), DIGITS)
    found = Monitoring(
        model="<b>digits</b>",
        version="3",
        dataset="digits",
        since=0.0,
        until=86400.0,
        requests=300,
        others=0,
        labelled=150,
        examples=300,
        rules=Rules(),
        verdict=verdict,
        findings=findings,
    )
    return WindowData(found, MNIST_SPEC, watched.reference, window, images)


def test_the_report_is_one_page_that_needs_no_other(data: WindowData, tmp_path: Path) -> None:
    write_monitoring(tmp_path, data.found, data)
    page = (tmp_path / REPORT_FILE).read_text()
    assert "Drift in 300 requests of &lt;b&gt;digits&lt;/b&gt; v3: " in page
    assert "1970-01-01 00:00 to 1970-01-02 00:00 UTC" in page
    assert page.count("data:image/svg+xml;base64,") == 8
    assert not re.findall(r"https?://|<script|url\((?!data:)", page)
    assert page.count('class="differs"') == len(data.found.drifted) > 3
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))
    assert Monitoring.load(tmp_path) == data.found


def test_figures_show_what_was_found(data: WindowData) -> None:
    panels = {panel.name: panel for panel in window_panels(data)}
    assert list(panels) == ["distances", "answers", "distributions", "unlike"]
    bars = panels["distances"].draw().axes[0].patches
    assert [bar.get_width() for bar in bars] == [finding.distance for finding in data.found.findings]  # type: ignore[attr-defined]
    titles = [axes.get_title() for axes in panels["distributions"].draw().axes if axes.get_visible()]
    assert len(titles) == len(data.reference.values) + 1
    assert "brightness" in panels["distances"].alt


def test_what_was_not_judged_says_so(data: WindowData, tmp_path: Path) -> None:
    few = data.found.model_copy(update={"verdict": "too-few", "findings": [], "requests": 7})
    write_monitoring(tmp_path, few, None)
    page = (tmp_path / REPORT_FILE).read_text()
    assert "7 requests" in page
    assert "too few" in page
    assert "<img" not in page
    calm = data.found.model_copy(update={"verdict": "none"})
    assert verdict_headline(calm).startswith("No drift in 300 requests")
    assert np.isfinite(list(data.found.metrics().values())).all()
