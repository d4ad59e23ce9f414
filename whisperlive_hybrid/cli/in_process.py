"""The rooms that turn files into text, put together in this process: what the server has, without its doors."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from whisperlive_hybrid.audio.files import DecodeLimits
from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.diarization.diarizer import Diarizer, DiarizerOptions
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.jobs.pipeline import Pipeline
from whisperlive_hybrid.speech.vad_batcher import VadBatcher


@asynccontextmanager
async def file_pipeline(settings: Settings) -> AsyncIterator[tuple[Engine, Pipeline]]:
    """An engine whose default model is loaded, and a pipeline on it. Raises ModelUnavailable."""
    async with (
        Engine(EngineOptions.of(settings)) as engine,
        VadBatcher() as vad,
        Diarizer(DiarizerOptions.of(settings)) as diarizer,  # it starts nothing before it is asked
    ):
        await engine.ready()
        yield (
            engine,
            Pipeline(
                engine,
                vad,
                diarizer=diarizer,
                limits=DecodeLimits(max_audio_s=settings.max_audio_s),
                window_s=settings.file_window_s,
                max_jobs=settings.max_file_jobs,
                max_queued=settings.max_queued_files,
            ),
        )


async def try_model(name: str, settings: Settings) -> str:
    """Load a model and decode some silence with it; what it is, in words. Raises ModelUnavailable."""
    async with Engine(dataclasses.replace(EngineOptions.of(settings), model=name)) as engine:
        await engine.ready()
        [model] = [m for m in engine.models() if m.default]
        languages = "multilingual" if model.multilingual else "English only"
        return f"{model.id}: works on {model.device} as {model.compute_type}, {languages}"
