"""What the decoder is told before it writes: text before the window, hotwords, language and task."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import tokenizers
from faster_whisper.tokenizer import Tokenizer

from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Task

MAX_LENGTH = 448
"""Positions of Whisper's decoder."""
MAX_PREVIOUS_TOKENS = MAX_LENGTH // 2 - 1
"""Longest previous text, and longest hotwords (Radford et al. 2022, §2.3: half the context)."""
_ROOM_FOR_TEXT = 64
"""Positions a prompt must leave free. Hotwords and previous text at their limits would leave none."""
_PARTIAL_BUCKETS = (0, 16, 48, 112, MAX_PREVIOUS_TOKENS)
"""Lengths of previous text in partials: CTranslate2 batches prompts of one length only."""


def _byte_symbols() -> dict[str, bytes]:
    """Character → byte of byte-level tokens (Radford et al. 2019, §2.2): bytes that cannot be printed are written as
    the characters from U+0100 on, all others as themselves."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printed]
    symbols = {chr(byte): byte for byte in printed} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
    return {symbol: bytes([byte]) for symbol, byte in symbols.items()}


_BYTES = _byte_symbols()
_MAX_PROMPT_CHARACTERS = 8000
"""More text than can fill the prompt in any language; the tokenizer is spared the rest."""


class Vocabulary:
    """The model's tokens."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, multilingual: bool) -> None:
        self.tokenizer = tokenizer
        self.multilingual = multilingual
        self._tokenizers: dict[tuple[str, str], Tokenizer] = {}
        self.any = self.speaking("en", "transcribe")
        """For everything that depends on neither language nor task."""
        self.end_of_text: int = self.any.eot
        self.timestamp_begin: int = self.any.timestamp_begin

    def speaking(self, language: str, task: Task) -> Tokenizer:
        """The tokenizer for a language (code) and task."""
        key = (language, task)
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(self.tokenizer, self.multilingual, task=task, language=language)
        return self._tokenizers[key]

    def has_language(self, language: str) -> bool:
        """Whether the model has a token for this language."""
        return self.tokenizer.token_to_id(f"<|{language}|>") is not None

    def text(self, tokens: Sequence[int]) -> str:
        """The tokens' text; timestamps and other special tokens are left out."""
        return str(self.any.decode(list(tokens)))

    def spelling(self, token: int) -> bytes:
        """The bytes that a text token stands for."""
        return b"".join(_BYTES.get(c) or c.encode() for c in self.tokenizer.id_to_token(token) or "")

    @cached_property
    def _never_written(self) -> list[int]:
        tokens = self.any
        special = (tokens.transcribe, tokens.translate, tokens.sot, tokens.sot_prev, tokens.sot_lm, tokens.no_speech)
        return [t for t in special if t is not None]

    def suppressed(self, tokens: tuple[int, ...]) -> list[int]:
        """Ids the decoder may not write; -1 among `tokens` stands for the list of non-speech symbols."""
        if not tokens:
            return []
        named = [t for t in tokens if t >= 0]
        if -1 in tokens:
            named.extend(self.any.non_speech_tokens)
        return sorted({*named, *self._never_written})


def previous_tokens(vocabulary: Vocabulary, options: DecodeOptions, lane: Lane) -> tuple[int, ...]:
    """Everything before `<|startoftranscript|>`: hotwords, then the text before this window; empty for neither.

    Files and finals get the exact text; partials a length out of a few, so that sessions share batches.
    """
    hotwords: list[int] = []
    if options.hotwords and options.hotwords.strip():
        hotwords = vocabulary.any.encode(" " + options.hotwords.strip()[:_MAX_PROMPT_CHARACTERS])
        hotwords = hotwords[:MAX_PREVIOUS_TOKENS]
    if options.prompt_tokens is not None:
        previous = list(options.prompt_tokens)
    elif options.prompt and options.prompt.strip():
        previous = vocabulary.any.encode(" " + options.prompt.strip()[-_MAX_PROMPT_CHARACTERS:])
    else:
        previous = []
    room = min(MAX_PREVIOUS_TOKENS, MAX_LENGTH - _ROOM_FOR_TEXT - len(hotwords))
    if lane is Lane.PARTIAL and not hotwords:
        room = min(room, bucket(len(previous)))
    previous = previous[-room:] if room else []
    if not hotwords and not previous:
        return ()
    return (vocabulary.any.sot_prev, *hotwords, *previous)


def bucket(length: int) -> int:
    """How many of `length` previous tokens a partial keeps. Below the first step, all: there, losing a few is a lot."""
    if length < _PARTIAL_BUCKETS[1]:
        return length
    return max(size for size in _PARTIAL_BUCKETS if size <= length)


def full_prompt(
    vocabulary: Vocabulary, previous: Sequence[int], language: str, task: Task, timestamps: bool
) -> list[int]:
    """The decoder's first tokens. All prompts of a model have the same length behind `previous`."""
    tokens = vocabulary.speaking(language, task)
    prompt = [*previous, *tokens.sot_sequence]
    if not timestamps:
        prompt.append(tokens.no_timestamps)
    return prompt


def max_length(prompt_length: int, max_new_tokens: int | None) -> int:
    """CTranslate2's `max_length` for at most `max_new_tokens` new ones.

    It allows min(max_length / 2, max_length - prompt) new tokens, hence the doubling.
    """
    if max_new_tokens is None:
        return MAX_LENGTH
    return min(MAX_LENGTH, max(2 * max_new_tokens, prompt_length + max_new_tokens))


def longest(prompt_length: int, max_new_tokens: int | None) -> int:
    """Tokens of a hypothesis at most, prompt included, with the `max_length` above."""
    most = max_length(prompt_length, max_new_tokens)
    return prompt_length + min(most // 2, most - prompt_length)
