"""Word error rate through our doors against faster-whisper alone: same model, same settings, same audio.

python -m benchmarks.accuracy --recordings PATH/TO/fsdd/recordings
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

import httpx
import jiwer
from faster_whisper import BatchedInferencePipeline, WhisperModel

from benchmarks.live_load import speak_all
from benchmarks.material import Conversation, add_arguments, conversations, normalized, wav
from benchmarks.report import percentile, table
from tests.support.running_server import running_server
from whisperlive_hybrid.engine.models import BUNDLED


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--model", default="digits", help="model name or folder (default digits)")
    args = parser.parse_args()
    said = conversations(args.recordings, args.conversations, args.seconds)
    folder = str(BUNDLED) if args.model == "digits" else args.model
    alone = WhisperModel(folder, device="cpu", compute_type="int8")
    batched = BatchedInferencePipeline(alone)
    rows = [
        _row("faster-whisper `transcribe`, VAD filter, beam 5", said, [_plain(alone, c) for c in said]),
        _row("faster-whisper `BatchedInferencePipeline`, beam 5", said, [_batched(batched, c) for c in said]),
    ]
    with running_server(model=args.model) as server:
        rows.append(_row("`/v1/audio/transcriptions`", said, [_posted(server.http_url, c) for c in said]))
        heard = asyncio.run(speak_all(server.live_url, [c.samples for c in said]))
        rows.append(_row("`/ws/stream` at real-time pace, finals", said, [h.text for h in heard]))
    source = "a held-out speaker" if args.recordings else "the tests' synthetic voices"
    table(
        f"Word error rate, {len(said)} digit conversations of {source}, {sum(c.duration_s for c in said):.0f} s",
        ["system", "WER %", "substitutions", "deletions", "insertions", "words"],
        rows,
    )
    late = [
        at - end
        for conversation, one in zip(said, heard, strict=True)
        for at, end in zip([at for at, e in one.events if e["type"] == "final"], conversation.ends, strict=False)
        if len([e for _, e in one.events if e["type"] == "final"]) == len(conversation.ends)
    ]
    table(
        f"End of speech to final, {len(said)} sessions at once",
        ["p50 s", "p95 s", "finals"],
        [[percentile(late, 50), percentile(late, 95), len(late)]],
        [
            "Counted in sessions whose finals match the reference's utterances one to one; the 0.6 s of silence "
            "that end an utterance and the 0.5 s message are included."
        ],
    )


def _row(name: str, said: Sequence[Conversation], heard: Sequence[str]) -> list[object]:
    measured = jiwer.process_words([normalized(c.text) for c in said], [normalized(h) for h in heard])
    words = sum(len(normalized(c.text).split()) for c in said)
    return [name, f"{measured.wer * 100:.2f}", measured.substitutions, measured.deletions, measured.insertions, words]


def _plain(model: WhisperModel, conversation: Conversation) -> str:
    segments, _ = model.transcribe(conversation.samples, language="en", beam_size=5, vad_filter=True)
    return " ".join(s.text for s in segments)


def _batched(model: BatchedInferencePipeline, conversation: Conversation) -> str:
    segments, _ = model.transcribe(conversation.samples, language="en", beam_size=5)
    return " ".join(s.text for s in segments)


def _posted(url: str, conversation: Conversation) -> str:
    answer = httpx.post(
        f"{url}/v1/audio/transcriptions",
        files={"file": ("conversation.wav", wav(conversation.samples), "audio/wav")},
        data={"model": "whisper-1", "language": "en"},
        timeout=600,
    )
    answer.raise_for_status()
    return str(answer.json()["text"])


if __name__ == "__main__":
    main()
