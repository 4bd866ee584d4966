from collections.abc import Collection
from itertools import count

import pytest

from components.tune.halving import Known, Leg, Repeat, due, finalist, repeated

# Of each trial's score at the end only those above it stand.
BASELINE = 0.8
# With three seeds a gain of 0.0170 counts; half of that is promising.
IMAGES = 1000


def _search(trials: int, seeds: int, failing: Collection[int] = ()) -> list[list[Leg] | list[Repeat]]:
    """Do all that is due, round by round: trial n scores n, and failing ones fail in their first leg."""
    known = {trial: Known() for trial in range(1, trials)}
    rounds: list[list[Leg] | list[Repeat]] = []
    repeats: dict[tuple[int, int], float] = {}
    while work := due(known, repeats, seeds, BASELINE, IMAGES):
        rounds.append(work)
        for job in work:
            if isinstance(job, Repeat):
                repeats[job.trial, job.shift] = 0.5 if job.trial else 0.4
            elif job.trial in failing:
                known[job.trial].failed = True
            else:
                known[job.trial].scores[job.rung] = job.trial
    return rounds


def test_the_best_quarter_goes_on_and_the_best_of_them_is_repeated() -> None:
    screening, final, *repeats = _search(10, seeds=2)

    assert screening == [Leg(trial, 0) for trial in range(1, 10)]
    assert final == [Leg(trial, 1) for trial in (9, 8, 7)]
    assert repeats == [[Repeat(trial, shift) for trial in (0, 9)] for shift in (1, 2)]


def test_of_many_trials_a_quarter_goes_on_and_one_is_repeated() -> None:
    assert [len(work) for work in _search(31, seeds=1)] == [30, 8, 2]


@pytest.mark.parametrize(("trials", "legs"), [(1, []), (2, [1, 1]), (3, [2, 1]), (6, [5, 2])])
def test_small_searches(trials: int, legs: list[int]) -> None:
    rounds = [work for work in _search(trials, seeds=1) if isinstance(work[0], Leg)]

    assert [len(work) for work in rounds] == legs


def test_what_failed_is_left_out() -> None:
    rounds = _search(8, seeds=1, failing={5, 6, 7})

    assert rounds[1:] == [[Leg(4, 1), Leg(3, 1)], [Repeat(0, 1), Repeat(4, 1)]]


def test_when_all_fail_nothing_is_repeated() -> None:
    assert len(_search(4, seeds=3, failing={1, 2, 3})) == 1


def test_only_what_is_missing_is_due() -> None:
    known = {1: Known({0: 0.5}), 2: Known()}

    assert due(known, {}, 1, BASELINE, IMAGES) == [Leg(2, 0)]
    known[2].scores[0] = 0.6
    assert due(known, {}, 1, BASELINE, IMAGES) == [Leg(2, 1)]
    known[2].scores[1] = 0.9
    assert finalist(known, 1, BASELINE, IMAGES) == 2
    assert due(known, {(2, 1): 0.9}, 2, BASELINE, IMAGES) == [Repeat(0, 1)]
    assert due(known, {(2, 1): 0.9, (0, 1): 0.8}, 2, BASELINE, IMAGES) == [Repeat(0, 2), Repeat(2, 2)]
    assert due(known, {(2, 1): 0.9, (0, 1): 0.8, (0, 2): 0.8}, 2, BASELINE, IMAGES) == [Repeat(2, 2)]
    assert due(known, dict(zip([(0, 1), (0, 2), (2, 1), (2, 2)], count())), 2, BASELINE, IMAGES) == []


def test_a_finalist_goes_on_while_it_has_half_of_the_gain_that_it_needs() -> None:
    known = {trial: Known({0: 0.5, 1: 0.9 + trial / 100}) for trial in (1, 2)}
    repeats = {(0, 1): 0.5, (2, 1): 0.75}

    assert due(known, repeats, 3, BASELINE, IMAGES) == [Repeat(0, 2), Repeat(2, 2)]
    repeats |= {(0, 2): 0.75, (2, 2): 0.625}
    assert due(known, repeats, 3, BASELINE, IMAGES) == [Repeat(0, 3), Repeat(2, 3)]
    repeats[2, 2] = 0.515
    assert due(known, repeats, 3, BASELINE, IMAGES) == []
    assert repeated(repeats, [0, 2]) == {0: [0.5, 0.75], 2: [0.75, 0.515]}


def test_equal_scores_go_to_the_earlier_trial() -> None:
    known = {trial: Known({0: 0.5}) for trial in (1, 2, 3)}

    assert due(known, {}, 1, BASELINE, IMAGES) == [Leg(1, 1)]


def test_trials_that_are_not_promising_beside_the_baseline_are_not_repeated() -> None:
    known = {1: Known({0: 0.5, 1: 0.9}), 2: Known({0: 0.5, 1: 0.7}), 3: Known({0: 0.5}, failed=True)}

    assert finalist(known, 2, 0.8, IMAGES) == 1
    assert due(known, {}, 2, baseline=0.8, images=IMAGES) == [Repeat(0, 1), Repeat(1, 1)]
    # With two seeds a gain of 0.0162 counts, of ten times the images one of 0.0050.
    for baseline, images, found in (
        (0.893, IMAGES, None),
        (0.896, 10 * IMAGES, 1),
        (0.898, 10 * IMAGES, None),
    ):
        assert finalist(known, 2, baseline, images) == found
        assert bool(due(known, {}, 2, baseline, images)) == (found is not None)
