"""The diarization room with its real process: the bundled model, pyannote's pipeline from a folder, and failures."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_pipeline import make_pipeline
from tests.support.voices import conversation, reference
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.diarization.diarizer import Diarizer, DiarizerOptions
from whisperlive_hybrid.diarization.process import DiarizationProcess
from whisperlive_hybrid.diarization.turns import Diarization, KnownSpeaker, SpeakerOptions
from whisperlive_hybrid.errors import BadInput, Refused, Unavailable, WorkerLost

pytestmark = pytest.mark.timeout(300)  # each process loads torch

CPU = DiarizerOptions(device="cpu")
TALK = conversation("anna", "ben", "anna", "ben", "ben", "anna")
SILENT = np.zeros(SAMPLE_RATE, np.float32)


@pytest.fixture(scope="module")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def no_torch_here() -> Iterator[None]:
    yield
    assert not {"torch", "pyannote.audio"} & set(sys.modules)


async def diarize(diarizer: Diarizer, samples: Samples, options: SpeakerOptions | None = None) -> Diarization:
    """As the pipeline of files does it: blocks as they are read, speech as it is transcribed."""
    file = await diarizer.file(options or SpeakerOptions())
    shares: list[float] = []
    try:
        for start in range(0, len(samples), 5 * SAMPLE_RATE):
            await file.hear_audio(samples[start : start + 5 * SAMPLE_RATE])
        half = len(samples) // 2
        await file.hear_speech(0, samples[:half])
        await file.hear_speech(half, samples[half:])
        return await file.finish(shares.append)
    finally:
        await file.close()
        assert shares == sorted(shares)
        assert all(0 <= share <= 1 for share in shares)


def agreement(found: Diarization, truth: list[tuple[float, float, str]]) -> dict[str, set[str]]:
    """Which labels each true speaker has in the middle of their turns."""
    said: dict[str, set[str]] = {}
    for start, end, speaker in truth:
        middle = (start + end) / 2
        said.setdefault(speaker, set()).update(t.speaker for t in found.turns if t.start <= middle < t.end)
    return said


async def test_voices_of_a_file_are_told_apart_in_one_process(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    samples, truth = TALK
    async with Diarizer(CPU) as diarizer:
        found = await diarize(diarizer, samples)
        one = await diarize(diarizer, samples, SpeakerOptions(num_speakers=1))
        known = (KnownSpeaker("Ben", reference("ben")), KnownSpeaker("Carl", reference("carl")))
        named = await diarize(diarizer, samples, SpeakerOptions(known=known))
        nothing = await diarize(diarizer, SILENT)

    assert agreement(found, truth) == {"anna": {"SPEAKER_00"}, "ben": {"SPEAKER_01"}}
    assert found.warning is None
    assert one.speakers == ("SPEAKER_00",)
    assert agreement(named, truth) == {"anna": {"SPEAKER_00"}, "ben": {"Ben"}}
    assert nothing.turns == ()
    assert "speakers are told apart on cpu" in caplog.text
    assert sum("diarization process" in r.message and "started" in r.message for r in caplog.records) == 1


async def test_references_that_are_of_no_use_are_named() -> None:
    async with Diarizer(CPU) as diarizer:
        for audio, what in (
            (b"no audio at all", "cannot be read"),
            (reference("anna")[: 44 + SAMPLE_RATE], "shorter than 2 s"),
            (_silence(4), "no speech"),
            (_silence(12), "longer than 10 s"),
        ):
            with pytest.raises(BadInput, match=what) as raised:
                await diarizer.file(SpeakerOptions(known=(KnownSpeaker("Eve", audio),)))
            assert raised.value.code == "bad_reference"
            assert "'Eve'" in raised.value.message


def _silence(seconds: int) -> bytes:
    from tests.support.voices import wav

    return wav(np.zeros(seconds * SAMPLE_RATE, np.float32))


async def test_a_live_segment_goes_before_files_and_a_full_queue_is_said() -> None:
    samples, truth = TALK
    segment = samples[: round(truth[0][1] * SAMPLE_RATE)]
    async with Diarizer(replace(CPU, queue=2)) as diarizer:
        await diarizer.warm()
        order: list[str] = []

        async def ask(name: str) -> None:
            await (diarizer.regions_of_segment if name == "live" else diarizer.regions_of_file)(segment)
            order.append(name)

        asked = [asyncio.create_task(ask(name)) for name in ("file", "file", "file", "live", "live")]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="2 segments wait"):
            while True:  # until the two that were asked for are both in the queue
                await diarizer.regions_of_segment(segment)
        await asyncio.gather(*asked)

    assert order.index("live") < order.index("file") + 2, order


async def test_a_process_that_dies_is_started_again_and_its_file_goes_on() -> None:
    samples, _ = TALK
    process = DiarizationProcess()
    try:
        before = await process.embed(samples)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(WorkerLost, match="ended with status -9"):
            await process.embed(samples)
        again = await process.embed(samples)
    finally:
        await process.close()
    assert [(r.start, r.end) for r in again] == [(r.start, r.end) for r in before]
    assert process.pid is None


async def test_a_process_that_nobody_asks_ends_and_comes_back() -> None:
    process = DiarizationProcess(keep_s=0.05)
    try:
        await process.embed(SILENT)
        async with asyncio.timeout(10):
            while process.pid is not None:  # noqa: ASYNC110  # there is no event of it: it is nobody's business
                await asyncio.sleep(0.02)
        assert await process.embed(SILENT) == []
    finally:
        await process.close()


async def test_a_question_that_is_given_up_does_not_answer_the_next_one() -> None:
    samples, _ = TALK
    process = DiarizationProcess()
    try:
        asked = asyncio.create_task(process.embed(samples))
        await asyncio.sleep(0.05)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert await process.embed(SILENT) == []
    finally:
        await process.close()


async def test_a_gpu_that_is_not_there_is_no_reason_to_fail_a_file() -> None:
    async with Diarizer(DiarizerOptions(device="cuda:7")) as diarizer:
        found = await diarize(diarizer, TALK[0])
        with pytest.raises(Unavailable, match="cuda:7"):
            await diarizer.warm()

    assert found.turns == ()
    assert found.warning is not None
    assert "DIARIZATION_DEVICE=cuda:7: torch finds 0 GPUs" in found.warning


async def test_pyannotes_own_pipeline_from_a_local_folder(pipeline_folder: Path) -> None:
    """Each voice for 20 s: the tiny pipeline tells windows of 10 s apart."""
    anna, ben = (conversation(*[name] * 12, pause_s=0)[0][: 20 * SAMPLE_RATE] for name in ("anna", "ben"))
    both, samples = np.concatenate([anna, ben]), np.concatenate([anna, ben, anna])
    options = SpeakerOptions(known=(KnownSpeaker("Ben", reference("ben")),))
    async with Diarizer(replace(CPU, model=str(pipeline_folder))) as diarizer:
        found = await diarize(diarizer, samples)
        named = await diarize(diarizer, both, options)
        one = await diarize(diarizer, both, SpeakerOptions(max_speakers=1))
        short = await diarize(diarizer, SILENT[:4000])
        assert diarizer.model == str(pipeline_folder)

    assert [t.speaker for t in found.turns] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00"]
    assert [round(t.start / 20) for t in found.turns] == [0, 1, 2]
    assert [t.speaker for t in named.turns] == ["SPEAKER_00", "Ben"]
    assert one.speakers == ("SPEAKER_00",)
    assert (short.turns, short.warning) == ((), None)


async def test_a_pipeline_that_was_named_and_cannot_be_had_leaves_the_text_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("pipeline: {name: nowhere.Nothing}\n")
    async with Diarizer(replace(CPU, model=str(tmp_path))) as diarizer:
        found = await diarize(diarizer, TALK[0])

    assert found.turns == ()
    assert found.warning is not None
    assert f"The pipeline in {tmp_path} cannot be loaded" in found.warning
    assert "the bundled model needs nothing" in found.warning


async def test_a_token_without_its_model_falls_back_on_the_bundled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    samples, truth = TALK
    async with Diarizer(replace(CPU, token="hf_of_a_test")) as diarizer:
        found = await diarize(diarizer, samples)
        again = await diarize(diarizer, samples)
        assert diarizer.model == "bundled"

    for each in (found, again):
        assert agreement(each, truth) == {"anna": {"SPEAKER_00"}, "ben": {"SPEAKER_01"}}
        assert each.warning is not None
        assert each.warning.startswith(
            "The bundled model told speakers apart: pyannote/speaker-diarization-community-1"
        )
