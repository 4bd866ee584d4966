"""The simulations of verdicts, small."""

import pytest

from benchmarks import coverage, verdicts
from benchmarks.coverage import FIGURES, KINDS, covered
from benchmarks.verdicts import choice_part, optimism, page, rate, replacements, wear_part


def test_rates_are_those_of_the_exact_distribution() -> None:
    assert rate(lambda _: True, 0, 4, 1_000) == pytest.approx(1, abs=1e-3)
    assert rate(lambda one: one.verdict == "better", 0, 8, 1_000) < 0.03
    assert rate(lambda one: one.verdict == "better", 0.02, 25, 1_000) > 0.9


def test_champions_get_optimistic_where_each_decision_is_a_toss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "DECISIONS", (30,))

    never = optimism(lambda *_: False, repetitions=40)
    the_luckier = optimism(lambda one, _: one.difference > 0, repetitions=40)

    assert len(set(never.tolist())) == 1
    assert the_luckier[-1] > never[-1] + 5e-4


def test_a_large_gain_replaces_the_baseline_and_none_hardly_does() -> None:
    assert replacements(0.01, 2, searches=20) == 1
    assert replacements(0.0, 2, searches=100) <= 0.1


def test_the_page_judges_its_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "DECISIONS", (20,))
    monkeypatch.setattr(verdicts, "SEEDS", (2,))

    text = page([wear_part(30), choice_part(20)])

    assert text.count("| met |") == 2
    assert "| seeds | no gain | gain 0.0002 | gain 0.0005 | gain 0.001 |" in text


def test_intervals_cover_the_truth_at_twenty_images(monkeypatch: pytest.MonkeyPatch) -> None:
    (kind, *_) = KINDS
    monkeypatch.setattr(coverage, "TRUTH_IMAGES", 5_000)
    found = covered(kind, 20, repetitions=20)
    assert set(found) == set(FIGURES)
    assert min(found.values()) >= 0.8
