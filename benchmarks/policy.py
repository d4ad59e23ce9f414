"""When words should be shown and committed: policies and thresholds over held-out conversations, on a virtual clock.

    python -m benchmarks.policy --recordings PATH/TO/fsdd/recordings

The defaults of COMMIT_GUARD_MS, COMMIT_PROBABILITY, LIVE_POLICY and of live/rules.py are chosen by these tables. The
session is the server's own, fed in blocks as a client would; each window is answered at once, so delays are those of an
infinitely fast device. The same arguments give the same figures, but for CPU seconds and a word or two of finals that
were poor, and therefore decoded at random.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.live.metrics import Errors, Summary, align, errors, session_figures, summarize
from benchmarks.live.wire import Message
from benchmarks.material import Conversation, SpokenWord, add_arguments, conversations, normalized
from benchmarks.report import table
from benchmarks.virtual import Blocks, InstantEngine, Recorded, Work, cut_up, run_session
from tools.digits_model.conversations import HELD_OUT_SPEAKER, conversation
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.window import Lane
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.policy import AgreedOrSure, CommitPolicy, FinalsOnly, LocalAgreement
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.speech.silero import Silero

GUARDS_S = (0.1, 0.2, 0.3, 0.5)
PROBABILITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 1.1)
"""1.1 is never reached: agreement alone, with the guard."""


@dataclass(frozen=True)
class Trial:
    """One row of a table."""

    name: str
    policy: Callable[[], CommitPolicy]
    rules: LiveRules

    def run(self, engine: InstantEngine, number: int, heard: Blocks, options: LiveOptions) -> Recorded:
        """One conversation."""
        return run_session(engine, number, heard, rules=self.rules, policy=self.policy, options=options)


HEADER = (
    "policy",
    "WER of finals %",
    "committed before the final %",
    "of them wrong %",
    "changed by the final %",
    "erased words per word",
    "first shown p50 s",
    "p95 s",
    "committed p50 s",
    "p95 s",
    "partial windows per s",
    "verified %",
    "longest window s",
    "CPU s per s, partials",
    "finals",
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled digits)")
    parser.add_argument("--block-ms", type=int, default=256, help="audio in one message (default 256)")
    parser.add_argument("--language", default="en", help="given by the client; auto detects (default en)")
    parser.add_argument(
        "--only",
        choices=sorted(SWEEPS),
        action="append",
        help="which tables (default: all); may be given several times",
    )
    args, _ = parser.parse_known_args()  # `python -m benchmarks` hands the same arguments to all
    engine = InstantEngine(args.model)
    options = LiveOptions(language=None if args.language == "auto" else args.language)
    short = conversations(args.recordings, args.conversations, args.seconds)
    long = short if args.recordings is None else _made(args.recordings, args.conversations, args.seconds, (18, 40))
    silero = Silero()
    block = args.block_ms * SAMPLE_RATE // 1000
    lone = short if args.recordings is None else _made(args.recordings, args.conversations, args.seconds, (1, 1))
    sets = {"conversations": short, "monologues": long, "single words": lone}
    heard = {name: [cut_up(each, block, silero, options.speech) for each in said] for name, said in sets.items()}
    number = {name: 1000 * i for i, name in enumerate(sets)}
    for sweep in args.only or SWEEPS:
        title, which, trials = SWEEPS[sweep]
        said = list(enumerate(heard[which], number[which]))
        rows = [
            _row(trial.name, [trial.run(engine, i, each, options) for i, each in said], heard[which])
            for trial in trials()
        ]
        minutes = sum(h.said.duration_s for h in heard[which]) / 60
        table(f"{title} ({which}, {minutes:.1f} min, {engine.name}, blocks of {args.block_ms} ms)", HEADER, rows)


def _made(recordings: Path, n: int, seconds: float, digits: tuple[int, int]) -> list[Conversation]:
    """Conversations whose utterances have so many words (fewest and most). Many make windows that are trimmed."""
    made = []
    for seed in range(2000, 2000 + n):
        samples, said = conversation(recordings, HELD_OUT_SPEAKER, seed, seconds=seconds, digits=digits)
        words = tuple(SpokenWord(w.word, w.start, w.end, i) for i, u in enumerate(said) for w in u.words)
        made.append(Conversation(samples, " ".join(u.text for u in said), tuple(u.end for u in said), words))
    return made


def _row(name: str, runs: Sequence[Recorded], heard: Sequence[Blocks]) -> list[object]:
    summary: Summary = summarize(
        [session_figures(each.said.words, run.updates) for each, run in zip(heard, runs, strict=True)]
    )
    early = sum((_early(each.said, run.messages) for each, run in zip(heard, runs, strict=True)), Errors())
    n_early = early.words - early.deletions + early.insertions
    audio_s = sum(each.said.duration_s for each in heard)
    work = [run.work for run in runs]
    partials = sum(w.n[Lane.PARTIAL] for w in work)
    return [
        name,
        f"{100 * summary.errors.rate:.2f}",
        f"{100 * n_early / early.words:.0f}",
        f"{100 * (early.substitutions + early.insertions) / max(1, n_early):.2f}",
        f"{100 * summary.committed_changed_per_word:.2f}",
        f"{summary.erased_per_word:.3f}",
        f"{summary.first_shown.p50:.2f}",
        f"{summary.first_shown.p95:.2f}",
        f"{summary.committed.p50:.2f}",
        f"{summary.committed.p95:.2f}",
        f"{partials / audio_s:.2f}",
        f"{100 * sum(w.verified for w in work) / max(1, partials):.0f}",
        f"{max(w.longest_s for w in work):.1f}",
        f"{_cpu_s(work, Lane.PARTIAL) / audio_s:.4f}",
        f"{_cpu_s(work, Lane.FINAL) / audio_s:.4f}",
    ]


def _early(said: Conversation, messages: Sequence[Message]) -> Errors:
    """What was committed before its final, beside what was said; words not committed early count as deletions."""
    committed: dict[int, str] = {}
    for _, message in messages:
        segment = int(message["segment"])
        committed[segment] = committed.get(segment, "") + str(message.get("append", ""))
    heard = normalized(" ".join(committed[s] for s in sorted(committed))).split()
    reference = normalized(said.text).split()
    return errors(reference, heard, align(reference, heard))


def _cpu_s(work: Sequence[Work], lane: Lane) -> float:
    return sum(w.cpu_s[lane] for w in work)


# --- what is compared ----------------------------------------------------------------------------------------------


def _policies() -> Iterator[Trial]:
    rules = LiveRules()
    yield Trial("finals-only", FinalsOnly, rules)
    yield Trial("local-agreement-2", LocalAgreement, rules)
    yield Trial("local-agreement-3", lambda: LocalAgreement(3), rules)
    yield Trial("agreed-or-sure (defaults)", AgreedOrSure, rules)


def _thresholds() -> Iterator[Trial]:
    for guard in GUARDS_S:
        for probability in PROBABILITIES:
            made = AgreedOrSure(guard, probability)
            yield Trial(f"guard {guard:g} s, p ≥ {probability:g}", lambda made=made: made, LiveRules())  # type: ignore[misc]


def _holding_back() -> Iterator[Trial]:
    for new_s in (0.1, 0.2, 0.3, 0.5):
        for below in (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1):
            rules = replace(LiveRules(), hold_new_s=new_s, hold_below=below)
            yield Trial(f"newest {new_s:g} s, p < {below:g}", AgreedOrSure, rules)


def _beams() -> Iterator[Trial]:
    for beam_size in (1, 2, 3, 5):
        yield Trial(f"beam of partials {beam_size}", AgreedOrSure, replace(LiveRules(), partial_beam_size=beam_size))


def _squeezed() -> Iterator[Trial]:
    for shortest_s in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25):
        yield Trial(f"at least {shortest_s:g} s", AgreedOrSure, replace(LiveRules(), shortest_word_s=shortest_s))


def _noise() -> Iterator[Trial]:
    for least_s, sure in ((0.0, 0.0), (0.3, 0.6), (0.3, 0.7), (0.3, 0.9), (0.4, 0.7)):
        rules = replace(LiveRules(), noise_below_s=least_s, noise_sure=sure)
        yield Trial(f"under {least_s:g} s below {sure:g}", AgreedOrSure, rules)


def _trimming() -> Iterator[Trial]:
    for after_s, limit_s in ((6.0, 10.0), (8.0, 12.0), (12.0, 18.0), (30.0, 30.0)):
        rules = replace(LiveRules(), trim_after_s=after_s, max_window_s=limit_s)
        yield Trial(f"trimmed after {after_s:g} s, at most {limit_s:g} s", AgreedOrSure, rules)


def _pauses() -> Iterator[Trial]:
    yield Trial("final made in the pause, shown as a partial (defaults)", AgreedOrSure, LiveRules())
    yield Trial("final made at the end, partials in the pause", AgreedOrSure, replace(LiveRules(), speculate=False))


def _history() -> Iterator[Trial]:
    yield Trial("no history (defaults)", AgreedOrSure, LiveRules())
    for n_chars in (50, 200):
        rules = replace(LiveRules(), history_chars=n_chars)
        yield Trial(f"the last {n_chars} characters", AgreedOrSure, rules)


SWEEPS: dict[str, tuple[str, str, Callable[[], Iterator[Trial]]]] = {
    "policies": ("Policies", "conversations", _policies),
    "policies-long": ("Policies", "monologues", _policies),
    "holding-back": ("Newest words held back", "conversations", _holding_back),
    "last-words": ("Length of the last word", "conversations", _squeezed),
    "last-words-long": ("Length of the last word", "monologues", _squeezed),
    "noise": ("Short utterances taken for noise", "single words", _noise),
    "trimming": ("Length of windows", "monologues", _trimming),
    "pauses": ("Pauses", "conversations", _pauses),
    "history": ("Text before a window, as its prompt", "conversations", _history),
    "history-long": ("Text before a window, as its prompt", "monologues", _history),
    "beams": ("Beam of partials", "conversations", _beams),
    "thresholds": ("Guard and probability", "conversations", _thresholds),
}


if __name__ == "__main__":
    main()
