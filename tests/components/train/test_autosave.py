import signal
from pathlib import Path

import pytest

from components.common.data.dataset import Split
from components.common.errors import UnavailableError
from components.common.plan.training import TrainConfig
from components.train.autosave import TERMINATED, Autosave
from components.train.checkpoint import Checkpoint
from components.train.session import Session

Splits = tuple[Split, Split]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(str(tmp_path / "state.npz"))


def test_a_session_is_saved_when_the_interval_has_passed(
    splits: Splits, small: TrainConfig, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, resumed = Session(*splits, small), Session(*splits, small)

    with Autosave(checkpoint) as autosave:
        monkeypatch.setenv("CHECKPOINT_SECONDS", "3600")
        session.run(lambda _: None, autosave)
        assert not checkpoint.restore(resumed)
        monkeypatch.setenv("CHECKPOINT_SECONDS", "0")
        autosave.check(session)

    assert checkpoint.restore(resumed)
    assert (resumed.step, resumed.history) == (session.steps, session.history)


def _train(session: Session, until: int, checkpoint: Checkpoint) -> None:
    with Autosave(checkpoint) as autosave:
        signal.raise_signal(signal.SIGTERM)
        session.run_until(until, autosave)


def test_sigterm_saves_the_session_and_ends_the_process(
    splits: Splits, small: TrainConfig, checkpoint: Checkpoint
) -> None:
    session, resumed = Session(*splits, small), Session(*splits, small)

    with pytest.raises(SystemExit) as ended:
        _train(session, session.steps, checkpoint)

    assert ended.value.code == TERMINATED
    assert checkpoint.restore(resumed)
    assert resumed.step == session.step == session.milestones[0]


def _reach_the_end(reached: list[str], error: Exception | None = None) -> None:
    with Autosave():
        signal.raise_signal(signal.SIGTERM)
        reached.append("the end")
        if error:
            raise error


def test_sigterm_after_the_last_check_ends_the_process_at_the_end_of_the_block() -> None:
    reached: list[str] = []

    with pytest.raises(SystemExit) as ended:
        _reach_the_end(reached)

    assert (ended.value.code, reached) == (TERMINATED, ["the end"])


def test_an_error_in_the_block_is_not_hidden_by_sigterm() -> None:
    with pytest.raises(ValueError, match="wrong"):
        _reach_the_end([], ValueError("wrong"))


def test_the_handler_before_the_block_is_there_after_it() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with Autosave():
        assert signal.getsignal(signal.SIGTERM) != before

    assert signal.getsignal(signal.SIGTERM) == before


def test_a_state_that_cannot_be_saved_is_said_once_and_the_training_goes_on(
    splits: Splits,
    small: TrainConfig,
    checkpoint: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    session = Session(*splits, small)
    outages = iter([UnavailableError("the store does not answer."), OSError(28, "No space left on device")])

    def save(_: Session) -> None:
        for outage in outages:
            raise outage

    monkeypatch.setenv("CHECKPOINT_SECONDS", "0")
    monkeypatch.setattr(checkpoint, "save", save)
    with Autosave(checkpoint) as autosave:
        for _ in range(4):
            autosave.check(session)
    assert capsys.readouterr().out.splitlines() == [
        "[checkpoint] the state is not saved, and the training goes on without: the store does not answer.",
        "[checkpoint] the state is saved again",
    ]
