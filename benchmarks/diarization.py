"""Who speaks: error rates of files and of live sessions, what speakers cost text, and a timeline.

    python -m benchmarks.diarization --audio PATH               # error rates as files and live
    python -m benchmarks.diarization --audio PATH --lag         # live finals with and without speakers
    python -m benchmarks.diarization --audio PATH --timeline    # transcription and diarization of one long file

PATH is a folder (searched through) of audio files with an RTTM file beside each. The diarization error rate is that of
pyannote.metrics with a collar of 0.25 s around each reference boundary (half of it on each side); `missed`, `false` and
`confused` are its parts. Only the bundled `digits` model runs: text plays no part in the error rate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
import wave
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

from benchmarks.plots import bars
from benchmarks.report import percentile, table
from whisperlive_hybrid.audio.files import decode_file
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.diarization.diarizer import Diarizer, DiarizerOptions
from whisperlive_hybrid.diarization.turns import SpeakerOptions
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.engine.window import DecodeOptions
from whisperlive_hybrid.jobs.pipeline import Pipeline
from whisperlive_hybrid.jobs.transcript import FileOptions
from whisperlive_hybrid.live.runner import LiveService
from whisperlive_hybrid.speech.vad_batcher import VadBatcher
from whisperlive_hybrid.transports.live_door import LiveTerms
from whisperlive_hybrid.transports.websocket.listener import LiveListener

COLLAR_S = 0.25
"""As pyannote.metrics means it: both sides of a boundary together."""
MESSAGE_S = 0.5
OPTIONS = FileOptions(decode=DecodeOptions(language="en", temperatures=(0.0,)), diarization=SpeakerOptions())

Span = tuple[float, float, str]


@dataclass(frozen=True)
class Recording:
    """Audio and who speaks in it."""

    path: Path
    samples: Samples
    truth: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class Errors:
    """Seconds of speech, and of what is wrong with who speaks."""

    total: float
    missed: float
    false: float
    confused: float


@dataclass
class Parts:
    """What a server is made of."""

    engine: Engine
    diarizer: Diarizer
    pipeline: Pipeline
    url: str


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--lag", action="store_true")
    parser.add_argument("--sessions", type=int, default=4, help="live sessions at once, with --lag")
    parser.add_argument("--timeline", action="store_true")
    parser.add_argument("--plot", type=Path, default=Path("docs/plots/diarization-timeline.svg"))
    args = parser.parse_args()
    if args.lag:
        asyncio.run(_lag(args.audio, args.sessions))
    elif args.timeline:
        asyncio.run(_timeline(args.audio, args.plot))
    else:
        asyncio.run(_accuracy(args.audio))


@asynccontextmanager
async def _parts() -> Any:
    async with (
        Diarizer(DiarizerOptions(device="cpu")) as diarizer,
        VadBatcher() as vad,
        Engine(EngineOptions(model="digits", device="cpu")) as engine,
    ):
        await engine.ready()
        await diarizer.warm()
        async with (
            LiveService(engine, vad, listener=diarizer) as live,
            LiveListener(live, host="127.0.0.1", port=0, terms=LiveTerms()) as listening,
        ):
            pipeline = Pipeline(engine, vad, diarizer=diarizer)
            yield Parts(engine, diarizer, pipeline, f"ws://127.0.0.1:{listening.port}/ws/stream")


async def recordings(folder: Path) -> list[Recording]:
    """Every audio file under `folder` that has an RTTM file."""
    found = []
    for rttm in sorted(folder.rglob("*.rttm")):
        path = next(p for p in sorted(rttm.parent.glob(f"{rttm.stem}.*")) if p.suffix not in (".rttm", ".json"))
        rows = [line.split() for line in rttm.read_text().splitlines() if line.startswith("SPEAKER")]
        truth = tuple((float(r[3]), float(r[3]) + float(r[4]), r[7]) for r in rows)
        found.append(Recording(path, np.concatenate([b async for b in decode_file(path)]), truth))
    return found


def errors(recording: Recording, said: Sequence[Span]) -> Errors:
    """How `said` differs from the truth."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(spans: Sequence[Span]) -> Any:
        made = Annotation()
        for i, (start, end, speaker) in enumerate(spans):
            made[Segment(start, end), i] = speaker
        return made

    metric = DiarizationErrorRate(collar=COLLAR_S)
    whole = Timeline([Segment(0, recording.seconds)])
    parts = metric.compute_components(annotation(recording.truth), annotation(said), uem=whole)
    return Errors(parts["total"], parts["missed detection"], parts["false alarm"], parts["confusion"])


# --- error rates -----------------------------------------------------------------------------------------------------


async def _accuracy(folder: Path) -> None:
    found = await recordings(folder)
    async with _parts() as parts:
        for title, said in (
            ("Files", [await _as_file(parts, r) for r in found]),
            ("Live, after corrections", [await _live(parts.url, r) for r in found]),
        ):
            table(
                f"Diarization error rate: {title}",
                ["file", "s", "speakers", "found", "error %", "missed %", "false %", "confused %"],
                list(_rows(found, said)),
            )


def _rows(found: Sequence[Recording], said: Sequence[Sequence[Span]]) -> Iterator[list[object]]:
    by_folder: dict[str, list[tuple[Errors, bool]]] = {}
    for recording, spans in zip(found, said, strict=True):
        wrong = errors(recording, spans)
        n_true, n_found = (len({speaker for _, _, speaker in each}) for each in (recording.truth, spans))
        by_folder.setdefault(recording.path.parent.name, []).append((wrong, n_true == n_found))
        yield [recording.path.stem, round(recording.seconds), n_true, n_found, *_percent(wrong)]
    everything = [pair for pairs in by_folder.values() for pair in pairs]
    for name, pairs in (*by_folder.items(), ("all", everything)):
        total = Errors(*(sum(getattr(w, part) for w, _ in pairs) for part in ("total", "missed", "false", "confused")))
        right = sum(ok for _, ok in pairs)
        yield [f"**{name}**", "", "", f"{right} of {len(pairs)} right", *_percent(total)]


def _percent(wrong: Errors) -> list[str]:
    parts = (wrong.missed + wrong.false + wrong.confused, wrong.missed, wrong.false, wrong.confused)
    return [f"{100 * part / wrong.total:.1f}" for part in parts]


async def _as_file(parts: Parts, recording: Recording) -> list[Span]:
    transcript = await parts.pipeline.transcribe(recording.path, OPTIONS)
    assert transcript.warning is None, transcript.warning
    return [(turn.start, turn.end, turn.speaker) for turn in transcript.turns]


async def _live(url: str, recording: Recording) -> list[Span]:
    """What a client knows at the end: speakers of segments as they were corrected, turns where there are several."""
    events = [event async for _, event in _session(url, recording.samples, pace=0, diarize=True)]
    spans = {e["segment"]: (e["start"], e["end"]) for e in events if e["type"] == "final"}
    named: dict[int, list[Span]] = {}
    for event in events:
        if event["type"] != "speaker":
            continue
        for part in (event, *event.get("also", ())):
            number = part["segment"]
            turns = [(t["start"], t["end"], t["speaker"]) for t in part.get("turns", ())]
            named[number] = turns or [(*spans[number], part["speaker"])]
    return [span for turns in named.values() for span in turns if span[2] is not None]


async def _session(url: str, samples: Samples, *, pace: float, diarize: bool) -> Any:
    """(second of the session, event) of one session; audio at `pace` times real time, 0 is as fast as it is taken."""
    flag = "true" if diarize else "false"
    query = f"codec=pcm_s16le&language=en&interim={'true' if pace else 'false'}&diarize={flag}"
    data = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    size = round(MESSAGE_S * SAMPLE_RATE) * 2
    async with connect(f"{url}?{query}", max_size=None) as socket:
        began = time.monotonic()

        async def send() -> None:
            for i in range(0, len(data), size):
                if pace:
                    await asyncio.sleep(max(0.0, began + (i + size) / 2 / SAMPLE_RATE / pace - time.monotonic()))
                await socket.send(data[i : i + size])
            await socket.send('{"type":"stop"}')

        sending = asyncio.create_task(send())
        with suppress(Exception):
            async for message in socket:
                yield time.monotonic() - began, json.loads(message)
        await sending


# --- what speakers cost ----------------------------------------------------------------------------------------------


async def _lag(folder: Path, n_sessions: int) -> None:
    """The same audio with and without speakers in turn, so that a noisy machine is noisy for both."""
    found = [r for r in await recordings(folder) if r.path.parent.name == "digits"] or await recordings(folder)
    finals: dict[bool, list[float]] = {False: [], True: []}
    texts: dict[bool, list[str]] = {False: [], True: []}
    behind: list[float] = []
    async with _parts() as parts:
        for first in range(0, len(found), n_sessions):
            batch = found[first : first + n_sessions]
            for diarize in (False, True) if first // n_sessions % 2 else (True, False):
                runs = await asyncio.gather(*(_timed(parts.url, r, diarize=diarize) for r in batch))
                for late, speakers, text in runs:
                    finals[diarize] += late
                    behind += speakers
                    texts[diarize].append(text)
    order = {diarize: sorted(texts[diarize]) for diarize in texts}
    rows: list[list[object]] = [
        [name, len(values), percentile(values, 50), percentile(values, 95)]
        for name, values in (
            ("end of speech → final, without speakers", finals[False]),
            ("end of speech → final, with speakers", finals[True]),
            ("final → speaker", behind),
        )
    ]
    table(
        f"Live with and without speakers, {n_sessions} sessions at once, real-time pace",
        ["what", "events", "p50 s", "p95 s"],
        rows,
        [f"Same text in {sum(a == b for a, b in zip(*order.values(), strict=True))} of {len(found)} conversations."],
    )


async def _timed(url: str, recording: Recording, *, diarize: bool) -> tuple[list[float], list[float], str]:
    late: list[float] = []
    behind: list[float] = []
    told: dict[int, float] = {}
    text: list[str] = []
    async for at, event in _session(url, recording.samples, pace=1, diarize=diarize):
        if event["type"] == "final":
            told[event["segment"]] = at
            late.append(at - event["end"])
            text.append(event["text"])
        elif event["type"] == "speaker":
            behind.append(at - told[event["segment"]])
    return late, behind, " ".join(text)


# --- the timeline ----------------------------------------------------------------------------------------------------


async def _timeline(folder: Path, plot: Path) -> None:
    """One file of all the digit conversations: when each chunk is transcribed, and when its voices are heard."""
    found = [r for r in await recordings(folder) if r.path.parent.name == "digits"] or await recordings(folder)
    spans: dict[str, list[tuple[float, float]]] = {"transcription": [], "diarization": []}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "long.wav"
        with wave.open(str(path), "wb") as out:
            out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            for recording in found:
                out.writeframes((np.clip(recording.samples, -1, 1) * 32767).astype("<i2").tobytes())
        async with _parts() as parts:
            began = time.monotonic()
            _watch(parts.engine, "transcribe", spans["transcription"], began)
            _watch(parts.diarizer, "regions_of_file", spans["diarization"], began)
            pipeline = Pipeline(parts.engine, parts.pipeline.vad, diarizer=parts.diarizer, in_flight=1)
            transcript = await pipeline.transcribe(path, OPTIONS)
            took = time.monotonic() - began
    overlap = sum(max(0.0, min(b, d) - max(a, c)) for a, b in spans["transcription"] for c, d in spans["diarization"])
    alone = {name: sum(b - a for a, b in each) for name, each in spans.items()}
    table(
        f"A file of {transcript.duration_s:.0f} s, one window at a time",
        ["what", "s"],
        [
            ["whole", took],
            ["transcription of its windows", alone["transcription"]],
            ["diarization of its chunks", alone["diarization"]],
            ["both at once", overlap],
        ],
    )
    if bars(plot, "Transcription and diarization of one file", "seconds since the file came", spans) is not None:
        print(f"{plot}")


def _watch(owner: Any, name: str, spans: list[tuple[float, float]], began: float) -> None:
    """Note when each call of a method begins and ends."""
    method = getattr(owner, name)

    async def watched(*args: Any) -> Any:
        start = time.monotonic() - began
        try:
            return await method(*args)
        finally:
            spans.append((start, time.monotonic() - began))

    setattr(owner, name, watched)


if __name__ == "__main__":
    main()
