"""How long the windows of partials get, whatever the model hears."""

from __future__ import annotations

import pytest

from tests.support.live_script import Talk
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.window import Lane
from whisperlive_hybrid.live.policy import AgreedOrSure, CommitPolicy, FinalsOnly
from whisperlive_hybrid.live.transcript import split_words

Said = tuple[str, float, float, float]


def speak(talk: Talk, seconds: float, *, probability: float, wavering: bool = False) -> list[float]:
    """A word every half second, all of which the model hears (`wavering`: other words each time). Window lengths."""
    talk.start(0.0)
    lengths = []
    for step in range(round(seconds / 0.5)):
        talk.hear(0.5)
        if Lane.PARTIAL not in talk.lanes:
            continue
        window = talk.window(Lane.PARTIAL)
        lengths.append(len(window.samples) / SAMPLE_RATE)
        begin, end = window.start / SAMPLE_RATE, window.end / SAMPLE_RATE
        n = step if wavering else 0
        words: list[Said] = [
            (f" w{i + 100 * n}", i / 2 + 0.05, i / 2 + 0.45, probability)
            for i in range(round(end / 0.5))
            if i / 2 + 0.2 >= begin
        ]
        talk.partial("".join(w[0] for w in words).strip(), words=words)
    return lengths


def test_windows_are_trimmed_and_no_word_is_lost_or_doubled() -> None:
    talk = Talk()
    lengths = speak(talk, 25.0, probability=0.95)
    assert max(lengths) <= 8.5 + 0.5
    shown = split_words(talk.shown())
    assert [w.strip() for w in shown] == [f"w{i}" for i in range(50)]


def test_a_window_that_begins_later_shares_its_frames() -> None:
    talk = Talk()
    talk.position = 1234
    speak(talk, 12.0, probability=0.95)
    talk.hear(0.5)
    assert talk.window(Lane.PARTIAL).start % 160 == 0
    assert talk.window(Lane.PARTIAL).start > 0


def test_a_stall_is_committed_by_force() -> None:
    talk = Talk()
    lengths = speak(talk, 28.0, probability=0.1, wavering=True)
    assert max(lengths) <= 12.0 + 1.0
    assert talk.committed()


@pytest.mark.parametrize("policy", [AgreedOrSure(), None])
def test_windows_stay_short_where_nothing_is_heard(policy: CommitPolicy | None) -> None:
    talk = Talk(policy=policy)
    talk.start(0.0)
    lengths = []
    for _ in range(54):
        talk.hear(0.5)
        if Lane.PARTIAL in talk.lanes:
            lengths.append(len(talk.window(Lane.PARTIAL).samples) / SAMPLE_RATE)
            talk.partial("")
    assert max(lengths) <= 12.0 + 1.0


def test_windows_stay_short_where_nothing_is_believed() -> None:
    talk = Talk()
    talk.start(0.0)
    lengths = []
    for _ in range(54):
        talk.hear(0.5)
        if Lane.PARTIAL in talk.lanes:
            lengths.append(len(talk.window(Lane.PARTIAL).samples) / SAMPLE_RATE)
            talk.partial("la la la", doubt="loop")
    assert max(lengths) <= 12.0 + 1.0


def test_without_commits_before_the_final_the_window_is_the_whole_utterance() -> None:
    talk = Talk(policy=FinalsOnly())
    lengths = speak(talk, 20.0, probability=0.95)
    assert max(lengths) >= 19.0
    assert talk.committed() == ""
