import base64
import re
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from components.common.plan.space import SEARCH_SPACE
from components.common.plan.training import TrainConfig
from components.tune.choice import Choice, Contender
from components.tune.search_page import draw_figures, write_page
from components.tune.space import distributions, params

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

PNG = b"\x89PNG\r\n"
HISTORY = ["Optimization history"]
ALL = [*HISTORY, "Parameter importance", "Parallel coordinates"]


def _choice(overrides: dict[str, object]) -> Choice:
    contenders = [Contender(0, {}, [0.9, 0.9]), Contender(1, overrides, [0.94, 0.96])]
    return Choice(
        trial=1,
        validation_accuracy=0.95,
        baseline_validation_accuracy=0.9,
        trials=2,
        overrides=overrides,
        contenders=contenders,
        needed=0.01,
    )


@pytest.fixture
def make_study() -> Callable[[list[float | None]], optuna.Study]:
    def make(values: list[float | None]) -> optuna.Study:
        space = distributions(SEARCH_SPACE, TrainConfig())
        study = optuna.create_study(direction="maximize")
        for number, value in enumerate(values):
            config = TrainConfig(dropout=0.05 * number, learning_rate=0.001 * (1 + 0.2 * number))
            study.add_trial(
                create_trial(
                    state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
                    params=params(config, space),
                    distributions=space,
                    value=value,
                    intermediate_values={1: 0.5},
                )
            )
        return study

    return make


@pytest.mark.parametrize(
    ("values", "titles"),
    [
        ([0.9], HISTORY),
        ([0.9, None], HISTORY),
        ([0.9, 0.9], HISTORY),
        ([0.9, 0.95], ALL),
        ([0.9, None, 0.95, 0.8], ALL),
    ],
)
def test_figures_need_trials_that_differ(
    values: list[float | None],
    titles: list[str],
    make_study: Callable[[list[float | None]], optuna.Study],
    tmp_path: Path,
) -> None:
    figures = draw_figures(make_study(values), tmp_path / "figures")

    assert list(figures) == titles
    assert set(figures.values()) == set((tmp_path / "figures").iterdir())
    assert all(path.read_bytes().startswith(PNG) for path in figures.values())


def test_the_page_holds_sentence_and_figures_and_needs_nothing_else(
    make_study: Callable[[list[float | None]], optuna.Study], tmp_path: Path
) -> None:
    figures = draw_figures(make_study([0.9, 0.95]), tmp_path)

    write_page(_choice({"dropout": 0.05}), figures, tmp_path / "page.html")

    page = (tmp_path / "page.html").read_text()
    assert "trial 1 of 2 is best: validation 0.9500 (0.9400 to 0.9600)" in page
    assert re.findall("<h2>(.*?)</h2>", page) == list(figures)
    sources = re.findall('src="([^"]*)"', page)
    assert [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in sources] == [
        path.read_bytes() for path in figures.values()
    ]
    assert not re.search("://|<script|<link|url\\(", page)


def test_the_page_escapes_what_it_quotes(tmp_path: Path) -> None:
    write_page(_choice({"augmentation": "<b>&"}), {}, tmp_path / "page.html")
    assert "default-src 'none'; img-src data:" in (tmp_path / "page.html").read_text()

    assert "augmentation &lt;b&gt;&amp;" in (tmp_path / "page.html").read_text()
