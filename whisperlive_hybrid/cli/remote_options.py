"""What is asked of a file, as a server is asked for it."""

from __future__ import annotations

import argparse
import re
from typing import Any, Final

from whisperlive_hybrid.cli.settings_flags import given_settings
from whisperlive_hybrid.diarization.turns import MAX_SPEAKERS, SpeakerOptions
from whisperlive_hybrid.errors import BadInput

_SENT_AS: Final = {
    "fasterwhisper_model": "model",
    "default_language": "language",
    "beam_size": "beam_size",
    "vad_threshold": "vad_threshold",
    "vad_min_speech_ms": "vad_min_speech_ms",
}
"""Settings that a request may choose, and what it calls them. Only flags are sent: the rest is the server's to say."""
_OURS: Final = frozenset({"api_key", "log_level"})
"""Of this process, in any case."""


def speakers_of(args: argparse.Namespace) -> SpeakerOptions | None:
    """What --diarize and --speakers (`N` or `MIN-MAX`) ask for; None is no diarization. Raises BadInput."""
    if args.speakers is None:
        return SpeakerOptions() if args.diarize else None
    numbers = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", args.speakers)
    least, most = (int(n or 0) for n in numbers.groups()) if numbers is not None else (0, 0)
    if not 1 <= least <= (most or MAX_SPEAKERS) <= MAX_SPEAKERS:
        accepted = (f"a number from 1 to {MAX_SPEAKERS}", "a range such as 2-4")
        raise BadInput(f"--speakers cannot be {args.speakers!r}.", param="speakers", accepted=accepted)
    return SpeakerOptions(None, least, most) if most else SpeakerOptions(least)


def job_options(args: argparse.Namespace) -> dict[str, Any]:
    """Options of POST /api/jobs, apart from what a job is of. Raises BadInput."""
    given = given_settings(args)
    useless = sorted(given.keys() - _SENT_AS.keys() - _OURS)
    if useless:
        flags = ", ".join("--" + name.replace("_", "-") for name in useless)
        raise BadInput(f"{flags}: that is for the server to say, not for one who uses it by --server.")
    speakers = speakers_of(args)
    wanted: dict[str, Any] = {
        **{sent: given[name] for name, sent in _SENT_AS.items() if name in given},
        "task": args.task,
        "prompt": args.prompt,
        "hotwords": args.hotwords,
        "word_timestamps": args.word_timestamps or None,
        "priority": args.priority,
    }
    if speakers is not None:
        wanted |= {
            "diarize": True,
            "num_speakers": speakers.num_speakers,
            "min_speakers": speakers.min_speakers,
            "max_speakers": speakers.max_speakers,
        }
    return {name: value for name, value in wanted.items() if value is not None}
