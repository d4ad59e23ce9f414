"""Options about speakers, the same on every door that takes files."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from whisperlive_hybrid.diarization.turns import MAX_KNOWN, MAX_SPEAKERS, KnownSpeaker, SpeakerOptions
from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.option import Option

MAX_NAME_CHARS: Final = 64
MAX_REFERENCE_BYTES: Final = 3_000_000
"""Of one reference as it is sent: 10 s of 48 kHz 16-bit stereo, in base64."""

SPEAKER_OPTIONS: Final = (
    Option("diarize", "flag", "Tell who speaks."),
    Option("num_speakers", "integer", "So many speakers there are; needs diarize.", 1, MAX_SPEAKERS),
    Option("min_speakers", "integer", "At least so many; needs diarize.", 1, MAX_SPEAKERS),
    Option("max_speakers", "integer", "At most so many; needs diarize.", 1, MAX_SPEAKERS),
    Option("known_speaker_names", "list", f"Names of known speakers, at most {MAX_KNOWN}; implies diarize."),
    Option(
        "known_speaker_references", "list", "A data URL for each name: audio of 2 to 10 s in which only they speak."
    ),
)


def read_speakers(form: Form, *, wanted: bool = False) -> SpeakerOptions | None:
    """What a form asks of diarization; None if it asks for none. Mistakes are noted in the form.

    `wanted`: it is asked for by something else already, such as a form of the answer.
    """
    num, least, most = (form.integer(n, 1, MAX_SPEAKERS) for n in ("num_speakers", "min_speakers", "max_speakers"))
    known = _known_speakers(form)
    flag = form.flag("diarize")
    if not (wanted or known if flag is None else flag):
        for name, value in (("num_speakers", num), ("min_speakers", least), ("max_speakers", most)):
            if value is not None and flag is None:
                form.wrong(name, f"{name} needs diarize=true.", accepted=("diarize=true",))
        return None
    if num is None and least is not None and most is not None and least > most:
        form.wrong("min_speakers", f"min_speakers {least} is more than max_speakers {most}.")
    return SpeakerOptions(num, least, most, known)


def _known_speakers(form: Form) -> tuple[KnownSpeaker, ...]:
    names = form.many("known_speaker_names")
    references = form.whole("known_speaker_references")
    if len(names) > MAX_KNOWN:
        form.wrong("known_speaker_names", f"There may be {MAX_KNOWN} known speakers, not {len(names)}.")
    elif len(names) != len(references):
        form.wrong(
            "known_speaker_references",
            f"Each known speaker needs a name and a reference: there are {len(names)} names and "
            f"{len(references)} references.",
        )
    elif len(set(names)) != len(names):
        form.wrong("known_speaker_names", "Two known speakers have the same name.")
    elif any(len(name) > MAX_NAME_CHARS for name in names):
        form.wrong("known_speaker_names", f"A name may have {MAX_NAME_CHARS} characters.", code="too_long")
    else:
        try:
            return tuple(KnownSpeaker(n, decode_data_url(r)) for n, r in zip(names, references, strict=True))
        except BadInput as problem:
            form.wrong("known_speaker_references", problem.message)
    return ()


def decode_data_url(text: str) -> bytes:
    """The bytes of a base64 `data:` URL (RFC 2397), or of base64 alone. Raises BadInput."""
    head, comma, body = text.partition(",")
    if not comma:
        head, body = "data:;base64", text
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise BadInput("A reference is a data URL in base64: data:audio/wav;base64,….")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("The base64 of a reference cannot be decoded.") from None
