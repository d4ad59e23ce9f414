"""Files through the pipeline: an engine that follows a script for the rules, the real one for real speech."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.clips import clips, words
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window
from whisperlive_hybrid.errors import BadInput, Refused, UndecodableAudio, WorkerLost
from whisperlive_hybrid.jobs.chunk import Chunk
from whisperlive_hybrid.jobs.pipeline import Pipeline
from whisperlive_hybrid.jobs.transcript import FileOptions, Progress, Transcript
from whisperlive_hybrid.speech.speech import FILE_SPEECH
from whisperlive_hybrid.speech.vad_batcher import VadBatcher

CONVERSATION = next(c for c in clips(conversations=True))
Answer = Callable[[Window], Hypothesis]


def answer(window: Window, text: str = " x", **changes: Any) -> Hypothesis:
    """One segment over the whole window."""
    length = len(window.samples) / SAMPLE_RATE
    segment = Segment(
        0.0, changes.get("consumed_s", length), text, (1,), changes.pop("temperature", 0.0), -0.1, 1.0, 0.0
    )
    hypothesis = Hypothesis(window.id, (segment,), window.options.language or "en", 0.9, length)
    return replace(hypothesis, **changes)


class ScriptedEngine:
    """Answers by a function, keeps what it was asked, and can hold answers back."""

    def __init__(self, reply: Answer = answer) -> None:
        self.reply = reply
        self.asked: list[Window] = []
        self.cancelled: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = self.most_running = 0
        self.state = "ready"

    async def load(self, name: str | None) -> str:
        return name or "scripted"

    async def transcribe(self, window: Window) -> Hypothesis:
        self.asked.append(window)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            return self.reply(window)
        finally:
            self.running -= 1

    def cancel(self, owner: str) -> None:
        self.cancelled.append(owner)

    def windows_at_once(self, model: str, options: DecodeOptions) -> int:
        return 2

    def capacity(self) -> SimpleNamespace:
        return SimpleNamespace(wait_s=3.0)


@pytest.fixture
async def vad() -> AsyncIterator[VadBatcher]:
    async with VadBatcher() as batcher:
        yield batcher


@pytest.fixture(scope="module")
def quiet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import wave

    path = tmp_path_factory.mktemp("audio") / "quiet.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).normal(0, 30, 24_000).astype("<i2").tobytes())
    return path


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_segments_come_in_order_on_the_files_clock(vad):
    engine = ScriptedEngine()
    pipeline = Pipeline(engine, vad, window_s=3.0)
    progress: list[Progress] = []
    told: list[Segment] = []
    done = await pipeline.transcribe(
        CONVERSATION.path, FileOptions(), on_progress=progress.append, on_segments=told.extend
    )
    assert tuple(told) == done.segments
    assert len(done.segments) == len(engine.asked) > 3
    assert {(w.lane, w.owner, w.model) for w in engine.asked} == {(Lane.FILE, engine.asked[0].owner, "scripted")}
    assert done.duration_s == pytest.approx(CONVERSATION.duration_s, abs=0.05)
    assert done.speech_s == pytest.approx(sum(len(w.samples) for w in engine.asked) / SAMPLE_RATE)
    assert done.speech_s < done.duration_s * 0.9
    for start, end, _ in CONVERSATION.utterances:
        middle = (start + end) / 2
        assert any(s.start <= middle <= s.end for s in done.segments)
    assert [p.stage for p in progress][-1] == "done"
    assert [p.done_s for p in progress if p.stage == "transcribing"] == sorted(
        p.done_s for p in progress if p.stage == "transcribing"
    )
    assert engine.cancelled == []


async def test_several_windows_are_in_flight_but_not_all(vad):
    engine = ScriptedEngine()
    engine.gate.clear()
    pipeline = Pipeline(engine, vad, window_s=2.0, in_flight=3)
    options = FileOptions(decode=DecodeOptions(language="en"))
    work = asyncio.create_task(pipeline.transcribe(CONVERSATION.path, options))
    await until(lambda: engine.running == 3)
    engine.gate.set()
    await work
    assert engine.most_running == 3
    assert len(engine.asked) > 3


async def test_the_language_of_the_first_window_with_text_is_kept(vad):
    def reply(window: Window) -> Hypothesis:
        if len(engine.asked) == 1:
            return answer(window, segments=(), language="ru", language_probability=0.3)
        return answer(window, language=window.options.language or "de", language_probability=0.8)

    engine = ScriptedEngine(reply)
    done = await Pipeline(engine, vad, window_s=2.0).transcribe(CONVERSATION.path, FileOptions())
    assert [w.options.language for w in engine.asked[:4]] == [None, None, "de", "de"]
    assert (done.language, done.language_probability) == ("de", 0.8)


async def test_where_the_model_stopped_the_rest_is_asked_again(vad):
    def reply(window: Window) -> Hypothesis:
        length = len(window.samples) / SAMPLE_RATE
        return answer(window, consumed_s=min(1.5, length))

    engine = ScriptedEngine(reply)
    done = await Pipeline(engine, vad, window_s=30.0).transcribe(CONVERSATION.path, FileOptions())
    lengths = [len(w.samples) / SAMPLE_RATE for w in engine.asked]
    assert len(lengths) == 1 + (lengths[0] - 0.5) // 1.5
    assert lengths[1] == pytest.approx(lengths[0] - 1.5, abs=0.001)
    starts = [s.start for s in done.segments]
    assert starts == sorted(starts)
    assert len(set(starts)) == len(starts)


@pytest.mark.parametrize("consumed_s", [0.0, 0.3])
async def test_a_model_that_hardly_gets_on_is_not_asked_for_ever(vad, consumed_s):
    engine = ScriptedEngine(lambda window: answer(window, consumed_s=consumed_s))
    await Pipeline(engine, vad).transcribe(CONVERSATION.path, FileOptions())
    assert len(engine.asked) == (12 if consumed_s else 1)


async def test_text_before_is_the_prompt_until_the_model_is_unsure(vad):
    def reply(window: Window) -> Hypothesis:
        n = len(engine.asked)
        return answer(window, f" text{n}", temperature=0.6 if n == 3 else 0.0)

    engine = ScriptedEngine(reply)
    options = FileOptions(decode=DecodeOptions(prompt="Names."), condition_on_previous_text=True)
    await Pipeline(engine, vad, window_s=2.0).transcribe(CONVERSATION.path, options)
    prompts = [w.options.prompt for w in engine.asked]
    assert prompts[:5] == ["Names.", "Names. text1", "Names. text1 text2", None, " text4"]
    assert engine.most_running == 1


async def test_a_full_engine_is_waited_for(vad):
    def reply(window: Window) -> Hypothesis:
        if len(engine.asked) == 2:
            raise Refused("full", retry_after_s=0.01)
        return answer(window)

    engine = ScriptedEngine(reply)
    done = await Pipeline(engine, vad, window_s=3.0).transcribe(CONVERSATION.path, FileOptions())
    assert len(done.segments) == len(engine.asked) - 1


async def test_a_lost_window_fails_the_file_and_takes_back_the_others(vad):
    def reply(window: Window) -> Hypothesis:
        if len(engine.asked) > 2:
            raise WorkerLost("gone")
        return answer(window)

    engine = ScriptedEngine(reply)
    with pytest.raises(WorkerLost):
        await Pipeline(engine, vad, window_s=2.0).transcribe(CONVERSATION.path, FileOptions())
    assert engine.cancelled == [engine.asked[0].owner]
    assert engine.running == 0


async def test_cancelling_takes_the_windows_out_of_the_engine(vad):
    engine = ScriptedEngine()
    engine.gate.clear()
    options = FileOptions(decode=DecodeOptions(language="en"))
    work = asyncio.create_task(Pipeline(engine, vad, window_s=2.0).transcribe(CONVERSATION.path, options))
    await until(lambda: engine.running >= 2)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert engine.running == 0
    assert engine.cancelled == [engine.asked[0].owner]
    assert [t for t in asyncio.all_tasks() if t.get_name().startswith(engine.asked[0].owner)] == []


async def test_files_wait_their_turn_and_more_are_refused(vad):
    engine = ScriptedEngine()
    engine.gate.clear()
    pipeline = Pipeline(engine, vad, max_jobs=1, max_queued=1)
    first = asyncio.create_task(pipeline.transcribe(CONVERSATION.path, FileOptions(model="first")))
    await until(lambda: engine.running == 1)
    second = asyncio.create_task(pipeline.transcribe(CONVERSATION.path, FileOptions(model="second")))
    await until(lambda: pipeline.waiting == 1)
    with pytest.raises(Refused) as refused:
        await pipeline.transcribe(CONVERSATION.path, FileOptions())
    assert refused.value.retry_after_s > 0
    assert {w.model for w in engine.asked} == {"first"}
    engine.gate.set()
    assert (await first).model == "first"
    assert (await second).model == "second"
    assert engine.asked[0].owner != engine.asked[-1].owner


async def test_requests_do_not_wait_for_jobs_nor_jobs_for_requests(vad):
    engine = ScriptedEngine()
    engine.gate.clear()
    pipeline = Pipeline(engine, vad, max_jobs=1, max_queued=0)
    began: list[str] = []

    def work(name: str, **how: Any) -> asyncio.Task[Transcript]:
        options = FileOptions(model=name)

        async def begin() -> None:
            began.append(name)

        return asyncio.create_task(pipeline.transcribe(CONVERSATION.path, options, on_turn=begin, **how))

    jobs = [work(f"job {i}", turn="job", background=True) for i in range(2)]
    await until(lambda: engine.running == 1)
    request = work("request")
    await until(lambda: engine.running == 2)
    urgent = work("urgent", turn="urgent job")
    await until(lambda: pipeline.waiting == 2)
    assert began == ["job 0", "request"], "the second job waits for the first, the urgent one for the request"
    with pytest.raises(Refused):
        await pipeline.transcribe(CONVERSATION.path, FileOptions())
    engine.gate.set()
    await asyncio.gather(*jobs, request, urgent)
    assert began[2:] in (["urgent", "job 1"], ["job 1", "urgent"])
    assert {window.model for window in engine.asked if window.background} == {"job 0", "job 1"}


async def test_a_file_without_speech_costs_no_inference(vad, quiet_file):
    engine = ScriptedEngine()
    done = await Pipeline(engine, vad).transcribe(quiet_file, FileOptions())
    assert (done.segments, done.text, done.speech_s, engine.asked) == ((), "", 0.0, [])
    assert done.duration_s == pytest.approx(3.0, abs=0.01)


async def test_what_is_no_audio_is_an_error_and_the_next_file_works(vad, quiet_file, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("Not audio at all. " * 100)
    pipeline = Pipeline(ScriptedEngine(), vad, max_jobs=1, max_queued=0)
    with pytest.raises(UndecodableAudio):
        await pipeline.transcribe(text, FileOptions())
    with pytest.raises(BadInput):
        await pipeline.transcribe(text, FileOptions())
    assert (await pipeline.transcribe(quiet_file, FileOptions())).segments == ()


async def test_real_speech_through_the_real_engine(vad):
    """Single utterances are what the bundled model reads well: all of several at once, in two languages."""
    spoken = [*clips("en")[:5], *clips("de")[:1]]
    async with Engine(EngineOptions(model="digits", device="cpu")) as engine:
        pipeline = Pipeline(engine, vad)
        options = FileOptions(decode=DecodeOptions(word_times=True))
        done = await asyncio.gather(*(pipeline.transcribe(c.path, options) for c in spoken))
    right = [words(t.text) == words(c.text) for c, t in zip(spoken, done, strict=True)]
    assert sum(right) >= len(spoken) - 1
    for clip, transcript in zip(spoken, done, strict=True):
        assert transcript.language == clip.language
        assert transcript.options.speech == FILE_SPEECH
        [(start, end, _)] = clip.utterances
        timed = [w for s in transcript.segments for w in s.words]
        assert timed[0].start == pytest.approx(start, abs=0.5)
        assert timed[-1].end == pytest.approx(end, abs=0.75)  # the small model places its last word roughly


@pytest.mark.parametrize("condition", [False, True])
async def test_a_file_goes_on_behind_any_of_its_chunks(vad, condition):
    """As after the death of a process: what comes behind is what would have come without it."""
    async with Engine(EngineOptions(model="digits", device="cpu")) as engine:
        await engine.ready()
        await goes_on_behind_any_chunk(Pipeline(engine, vad, window_s=4.0), condition)


async def goes_on_behind_any_chunk(pipeline: Pipeline, condition: bool) -> None:
    options = FileOptions(condition_on_previous_text=condition)
    chunks: list[Chunk] = []
    whole = await pipeline.transcribe(CONVERSATION.path, options, on_chunk=chunks.append)
    assert len(chunks) > 4
    assert tuple(s for c in chunks for s in c.segments) == whole.segments
    for n in range(1, len(chunks) + 1):
        heard: list[Segment] = []
        more: list[Chunk] = []
        progress: list[float] = []
        again = await pipeline.transcribe(
            CONVERSATION.path,
            options,
            on_segments=heard.extend,
            on_chunk=more.append,
            on_progress=lambda p, into=progress: into.append(p.done_s),
            chunks=chunks[:n],
        )
        assert again.text == whole.text
        assert [(s.start, s.end) for s in again.segments] == [(s.start, s.end) for s in whole.segments]
        assert tuple(heard) == again.segments[-len(heard) :] if heard else n == len(chunks)
        assert [(c.pieces, c.behind) for c in more] == [(c.pieces, c.behind) for c in chunks[n:]]
        assert (again.speech_s, again.language) == (whole.speech_s, whole.language)
        assert min(progress) >= chunks[n - 1].end / SAMPLE_RATE
