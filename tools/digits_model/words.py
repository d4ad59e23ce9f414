"""The vocabulary of the digits model, and the compact token ids it is trained with.

Training uses a vocabulary of about 1,550 ids (words, the full stop, control tokens, timestamps and one stand-in
for everything else). `export.py` spreads them over the 51,865 ids of the multilingual Whisper layout.
"""

from __future__ import annotations

import math

SAMPLE_RATE = 16_000
"""Samples per second of all audio in this package."""

FRAMES_PER_SECOND = 100
"""Mel frames per second."""

TIMESTAMP_STEP = 0.02
"""Seconds between two neighbouring timestamp tokens."""

LANGUAGES = ("en", "es", "de", "fr")

WORDS: dict[str, list[str]] = {
    "en": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "es": ["cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"],
    "de": ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"],
    "fr": ["zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"],
}

FULL_STOP = "."

# Words are written with the space before them, as Whisper does. "six" is English and French: one token.
TEXT_TOKENS = list(dict.fromkeys([" " + word for lang in LANGUAGES for word in WORDS[lang]] + [FULL_STOP]))

CONTROL_TOKENS = (
    ["<eot>", "<sot>"]
    + [f"<{lang}>" for lang in LANGUAGES]
    + ["<translate>", "<transcribe>", "<prev>", "<nospeech>", "<notimestamps>"]
)

WHISPER_NAMES = {
    "<eot>": "<|endoftext|>",
    "<sot>": "<|startoftranscript|>",
    "<translate>": "<|translate|>",
    "<transcribe>": "<|transcribe|>",
    "<prev>": "<|startofprev|>",
    "<nospeech>": "<|nospeech|>",
    "<notimestamps>": "<|notimestamps|>",
    **{f"<{lang}>": f"<|{lang}|>" for lang in LANGUAGES},
}
"""Compact control token -> its name in the multilingual layout."""

TOKEN_ID = {token: index for index, token in enumerate(TEXT_TOKENS + CONTROL_TOKENS)}

TIMESTAMP_COUNT = 1501
FIRST_TIMESTAMP = len(TOKEN_ID)
OTHER = FIRST_TIMESTAMP + TIMESTAMP_COUNT
"""One id standing for every id of the multilingual layout that this model never writes."""

VOCABULARY_SIZE = OTHER + 1
WHISPER_VOCABULARY_SIZE = 51_865
OTHER_LOG_WEIGHT = math.log(WHISPER_VOCABULARY_SIZE - (VOCABULARY_SIZE - 1))
"""Added to the logit of `OTHER` in training, since that id becomes this many equal ids when exported."""

CTC_BLANK = len(TEXT_TOKENS)


def text_ids(digits: list[int], language: str) -> list[int]:
    """Token ids of one utterance: its words and the full stop."""
    return [TOKEN_ID[" " + WORDS[language][digit]] for digit in digits] + [TOKEN_ID[FULL_STOP]]


def timestamp_id(seconds: float) -> int:
    """The timestamp token nearest to a time within the window, in seconds from its start (0 to 30)."""
    return FIRST_TIMESTAMP + min(TIMESTAMP_COUNT - 1, max(0, round(seconds / TIMESTAMP_STEP)))


def sentence(digits: list[int], language: str) -> str:
    """One utterance as the model writes it: lower-case words and a full stop."""
    return " ".join(WORDS[language][digit] for digit in digits) + FULL_STOP
