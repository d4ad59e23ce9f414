from __future__ import annotations

from benchmarks.live.metrics import session_figures
from benchmarks.material import conversations
from benchmarks.virtual import InstantEngine, cut_up, run_session
from whisperlive_hybrid.engine.window import Lane
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.policy import AgreedOrSure, FinalsOnly
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.speech.silero import Silero


def test_a_session_without_waiting_tells_the_same_every_time() -> None:
    (said,) = conversations(None, 1, 4.0)
    options, rules = LiveOptions(language="en"), LiveRules()
    blocks = cut_up(said, 4096, Silero(), options.speech)
    first, second = (
        run_session(InstantEngine(), 0, blocks, rules=rules, policy=AgreedOrSure, options=options) for _ in range(2)
    )
    assert first.messages == second.messages
    figures = session_figures(said.words, first.updates)
    assert figures.final_words > 0
    assert figures.errors.rate < 0.5
    assert figures.committed_broken == 0
    assert first.work.n[Lane.PARTIAL] > first.work.n[Lane.FINAL] > 0


def test_what_was_heard_once_is_not_heard_again() -> None:
    (said,) = conversations(None, 1, 3.0)
    options = LiveOptions(language="en")
    blocks = cut_up(said, 4096, Silero(), options.speech)
    engine = InstantEngine()
    runs = [
        run_session(engine, 0, blocks, rules=LiveRules(), policy=policy, options=options)
        for policy in (AgreedOrSure, FinalsOnly)
    ]
    assert runs[0].work.cpu_s == runs[1].work.cpu_s
    assert not any(message.get("append") for _, message in runs[1].messages)
