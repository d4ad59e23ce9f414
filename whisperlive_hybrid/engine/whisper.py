"""Whisper on CTranslate2: encode once, then language, text, fallback and word times from the same encoder output.

Theory of operation
-------------------
The rows of a batch share one encoder output. First, rows that bring tokens to verify are aligned with them: one
parallel pass of the decoder, where generation takes one for each token. Rows whose tokens hold are done. The others are
decoded, at first together, then those that failed at ever higher temperatures. A final, or a window of a file, that
fails in a short encoder input is instead padded to 30 s and done all anew: no short input may cost a final its text. In
the end words are aligned where they were asked for. Each of these calls is given as many rows at once as the memory of
a batch is enough for: texts drawn at random, say, take several times what a beam takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import tokenizers
from ctranslate2.models import Whisper

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine import fallback, guards, prompt, words
from whisperlive_hybrid.engine.backend import LanguageProbabilities, Request
from whisperlive_hybrid.engine.budget import budget_of
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.encoded import Encoded
from whisperlive_hybrid.engine.fallback import Attempt
from whisperlive_hybrid.engine.features import Features, LogMel, to_full
from whisperlive_hybrid.engine.gate import Padding
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.mel import OwnersMel
from whisperlive_hybrid.engine.memory import return_freed_memory
from whisperlive_hybrid.engine.rows import Row, Watch
from whisperlive_hybrid.engine.segments import Draft, split
from whisperlive_hybrid.engine.window import DecodeOptions, Lane
from whisperlive_hybrid.errors import BadInput

_MAX_INITIAL_TIMESTAMP = 50
"""Speech begins at most 1 s (50 steps of 20 ms) into the window."""
_CPU_ENCODER_FRAMES = 3000
"""Frames that a CPU encodes at once. The encoder's arithmetic gains nothing from larger batches there, and attention
scores (heads x frames² each) fall out of the cache; the decoder does gain, and always takes the whole batch."""


class WhisperBackend:
    """One model on one device."""

    def __init__(self, path: Path, device: Device, tokenizer: tokenizers.Tokenizer, n_mels: int | None = None) -> None:
        self._path = path
        self._device = device
        self._model = self._load()
        self.multilingual: bool = self._model.is_multilingual
        self.compute_type: str = self._model.compute_type
        self._mel = LogMel(n_mels or self._model.n_mels)
        self._vocabulary = prompt.Vocabulary(tokenizer, self.multilingual)
        self._budget = budget_of(path, self.compute_type, device.batch_bytes)

    def _load(self) -> Whisper:
        return Whisper(
            str(self._path),
            device=self._device.kind,
            device_index=self._device.index,
            compute_type=self._device.compute_type,
            intra_threads=self._device.threads,
            inter_threads=1,
        )

    def reload(self) -> None:
        """Read the weights again."""
        self.close()
        self._model = self._load()

    def close(self) -> None:
        """Free the weights and give their memory back to the system. May be called again.

        Unloading alone is not enough: now and then CTranslate2's own thread still holds the weights. Dropping the
        object ends that thread.
        """
        if hasattr(self, "_model"):
            del self._model
        return_freed_memory()

    def features(
        self, samples: Samples, n_frames: int, padding: Padding = "zero", owners: OwnersMel | None = None
    ) -> Features:
        """float32 [n_mels, n_frames]."""
        return self._mel(samples, n_frames, padding, owners)

    def previous_tokens(self, options: DecodeOptions, lane: Lane) -> tuple[int, ...]:
        """Prompt tokens before `<|startoftranscript|>`."""
        return prompt.previous_tokens(self._vocabulary, options, lane)

    def has_language(self, language: str) -> bool:
        """An English-only model takes any language and writes English, as faster-whisper does."""
        return not self.multilingual or self._vocabulary.has_language(language)

    def windows_that_fit(self, options: DecodeOptions, lane: Lane, n_frames: int, n_previous: int) -> int:
        """Windows with so many frames and previous tokens that a batch has memory for."""
        return self._budget.windows(options, lane, n_frames, n_previous)

    def detect_languages(self, requests: Sequence[Request]) -> list[LanguageProbabilities]:
        """(code, probability) for each window, likeliest first."""
        if not self.multilingual:
            return [[("en", 1.0)] for _ in requests]
        return _languages(self._model.detect_language(self._encode(requests).rows()))

    def run(self, requests: Sequence[Request]) -> list[Hypothesis]:
        """Transcribe windows that share a batch key. A probability of no speech is not known of verified ones (0)."""
        watch = Watch()
        encoded = self._encode(requests)
        rows = [Row(i, request) for i, request in enumerate(requests)]
        watch.encode_s += watch.lap()
        self._find_languages(encoded, rows)
        watch.decode_s += watch.lap()
        self._verify(encoded, [r for r in rows if r.request.window.verify])
        watch.align_s += watch.lap()
        verified, pending = ([r for r in rows if r.verified is held] for held in (True, False))
        hypotheses = [row.hypothesis(self._vocabulary) for row in rows]

        def hand_out(done: Sequence[Row]) -> None:
            for row in done:
                hypothesis = replace(row.hypothesis(self._vocabulary), timing=watch.timing(len(requests)))
                hypotheses[row.index] = hypothesis
                row.request.early(hypothesis)

        hand_out(verified)
        for done in self._decode(encoded, pending):
            watch.decode_s += watch.lap()
            self._align(encoded, done)
            watch.align_s += watch.lap()
            hand_out(done)
        redone = [row for row in rows if row.redo and not row.request.dropped()]
        if redone:
            again = self.run([_in_full(row.request, watch) for row in redone])
            for row, hypothesis in zip(redone, again, strict=True):
                hypotheses[row.index] = watch.and_then(hypothesis)
        return hypotheses

    def _encode(self, requests: Sequence[Request]) -> Encoded:
        n_rows, n_frames = len(requests), requests[0].features.shape[1]
        step = n_rows if self._device.kind == "cuda" else max(1, _CPU_ENCODER_FRAMES // n_frames)
        step = min(step, self._budget.encoded(n_frames))
        parts = []
        for first in range(0, n_rows, step):
            mel = np.stack([r.features for r in requests[first : first + step]])
            parts.append(self._model.encode(ctranslate2.StorageView.from_array(mel)))
        return Encoded(parts, n_rows)

    def _find_languages(self, encoded: Encoded, rows: Sequence[Row]) -> None:
        """The language of each window: given, or detected among those allowed."""
        if not self.multilingual:
            return
        for row in rows:
            row.language = row.options.language or ""
        unknown = [row for row in rows if not row.language]
        if unknown:
            found = _languages(self._model.detect_language(encoded.rows([row.index for row in unknown])))
            for row, probabilities in zip(unknown, found, strict=True):
                allowed = row.options.languages
                among = [p for p in probabilities if p[0] in allowed] or probabilities
                row.language, row.language_probability = among[0]

    def _verify(self, encoded: Encoded, rows: Sequence[Row]) -> None:
        """Align the rows' tokens; those that hold are the rows' result."""
        for row in rows:
            tokens = row.request.window.verify
            row.drafts = split(tokens, self._vocabulary.timestamp_begin, row.duration_s).drafts
        whole = [row for row in rows if self._text_of(row.drafts) == self._text_tokens(row.request.window.verify)]
        for row, probabilities in self._aligned(encoded, [row for row in whole if not row.request.dropped()]):
            row.verified = guards.holds(row.drafts, probabilities, row.duration_s)
            if row.verified:
                tokens = row.request.window.verify
                row.attempt = Attempt(
                    tokens=tokens,
                    temperature=0.0,
                    avg_log_probability=float(np.mean(np.log(probabilities))),
                    compression_ratio=fallback.compression_ratio(self._vocabulary.text(tokens).strip()),
                    no_speech_probability=0.0,
                )
        for row in rows:
            for draft in row.drafts if not row.options.word_times else ():
                draft.words = []
            if not row.verified:
                row.drafts = []

    def _decode(self, encoded: Encoded, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Decode all rows at the first temperature, then only those that failed at the next ones.

        Yields rows as they are decided; those to be redone, and those that nobody wants any more, never.
        """
        attempts: dict[int, list[Attempt]] = {row.index: [] for row in rows}
        pending = [row for row in rows if not row.request.dropped()]
        temperatures = rows[0].options.temperatures if rows else ()
        for i, temperature in enumerate(temperatures):
            if not pending:
                return
            made = self._generate(encoded, pending, rows[0].options, temperature)
            failed = []
            for row, attempt in zip(pending, made, strict=True):
                attempts[row.index].append(attempt)
                row.redo = row.may_be_redone and self._failed(row, attempt)
                if not row.redo and i + 1 < len(temperatures) and fallback.needs_retry(attempt, row.options):
                    failed.append(row)
            decided = [row for row in pending if not row.redo and row not in failed]
            for row in decided:
                self._interpret(row, fallback.choose(attempts[row.index], row.options))
            yield decided
            pending = [row for row in failed if not row.request.dropped()]

    def _failed(self, row: Row, attempt: Attempt) -> bool:
        """Whether a text may be worse for the short encoder input: a guard trips, or there is none."""
        if fallback.needs_retry(attempt, row.options) or fallback.is_silence(attempt, row.options):
            return True
        drafts = split(attempt.tokens, self._vocabulary.timestamp_begin, row.duration_s).drafts
        heard = guards.before_the_end(drafts, row.duration_s)
        return len(heard) < len(drafts) or not any(self._vocabulary.text(d.tokens).strip() for d in heard)

    def _interpret(self, row: Row, attempt: Attempt) -> None:
        """Segments from the tokens that were chosen."""
        row.attempt = attempt
        if fallback.is_silence(attempt, row.options):
            return
        tokens = attempt.tokens
        if attempt.fault == "loop":
            tokens = guards.cut_loop(tokens, self._vocabulary.end_of_text)
        parts = split(tokens, self._vocabulary.timestamp_begin, row.duration_s)
        row.drafts = guards.before_the_end(parts.drafts, row.duration_s)
        row.consumed_s, row.closed = parts.consumed_s, parts.closed

    def _generate(
        self, encoded: Encoded, rows: Sequence[Row], options: DecodeOptions, temperature: float
    ) -> list[Attempt]:
        """One attempt for each row, of as many rows at once as there is memory for."""
        limit = options.max_new_tokens
        if limit is None and rows[0].request.window.lane is Lane.PARTIAL:
            limit = guards.max_new_tokens(max(row.duration_s for row in rows))
        request = rows[0].request
        step = self._budget.generated(options, request.features.shape[1], len(request.previous), temperature, limit)
        parts = (rows[first : first + step] for first in range(0, len(rows), step))
        return [made for part in parts for made in self._generate_at_once(encoded, part, temperature, limit)]

    def _generate_at_once(
        self, encoded: Encoded, rows: Sequence[Row], temperature: float, max_new_tokens: int | None
    ) -> list[Attempt]:
        options = rows[0].options
        prompts = [
            prompt.full_prompt(self._vocabulary, r.request.previous, r.language, r.options.task, r.options.timestamps)
            for r in rows
        ]
        if temperature > 0:
            search = {
                "beam_size": 1,
                "num_hypotheses": options.best_of,
                "sampling_topk": 0,
                "sampling_temperature": temperature,
            }
        else:
            search = {"beam_size": options.beam_size, "patience": options.patience}
        try:
            results = self._model.generate(
                encoded.rows([row.index for row in rows]),
                prompts,
                length_penalty=options.length_penalty,
                repetition_penalty=options.repetition_penalty,
                no_repeat_ngram_size=options.no_repeat_ngram_size,
                max_length=prompt.max_length(len(prompts[0]), max_new_tokens),
                return_scores=True,
                return_no_speech_prob=True,
                suppress_blank=options.suppress_blank,
                suppress_tokens=self._vocabulary.suppressed(options.suppress_tokens),
                max_initial_timestamp_index=_MAX_INITIAL_TIMESTAMP,
                **search,
            )
        except ValueError as error:  # std::invalid_argument: the model is as well as before
            raise BadInput(f"The model does not take these options: {error}", code="bad_option") from None
        attempts = []
        for row, result in zip(rows, results, strict=True):
            tokens = tuple(result.sequences_ids[0])
            text = self._vocabulary.text(tokens).strip()
            attempts.append(
                Attempt(
                    tokens=tokens,
                    temperature=temperature,
                    avg_log_probability=fallback.mean_log_probability(
                        result.scores[0], len(tokens), options.length_penalty
                    ),
                    compression_ratio=fallback.compression_ratio(text),
                    no_speech_probability=result.no_speech_prob,
                    fault=guards.fault_of(text, self._text_tokens(tokens), row.duration_s),
                )
            )
        return attempts

    def _align(self, encoded: Encoded, rows: Sequence[Row]) -> None:
        """Give words, and probabilities of tokens, to the segments of every window that asked for them."""
        wanted = [row for row in rows if _words_wanted(row) or row.options.token_probabilities]
        for row, _ in self._aligned(encoded, [row for row in wanted if row.drafts and not row.request.dropped()]):
            if row.options.word_times and not row.closed:
                row.consumed_s = _end_of_words(row.drafts) or row.consumed_s

    def _aligned(self, encoded: Encoded, rows: Sequence[Row]) -> Iterator[tuple[Row, list[float]]]:
        """The rows, each with the probabilities of its text tokens. Drafts get words where words or a check need them.

        One call for each language and task (CTranslate2 takes one prompt), or several where memory is short.
        """
        for group in self._aligned_at_once(rows):
            tokens = self._vocabulary.speaking(group[0].language, group[0].options.task)
            results = self._model.align(
                encoded.rows([row.index for row in group]),
                tokens.sot_sequence,
                [self._text_of(row.drafts) for row in group],
                [row.request.content_frames for row in group],
            )
            for row, result in zip(group, results, strict=True):
                probabilities = list(result.text_token_probs)
                if _words_wanted(row) or row.attempt is None:
                    times = [(draft.start, draft.end) for draft in row.drafts]
                    words.place_words(row.drafts, tokens, result.alignments, probabilities)
                    if row.options.words_aside and not row.options.word_times:
                        for draft, (start, end) in zip(row.drafts, times, strict=True):
                            draft.start, draft.end = start, end
                if row.options.token_probabilities:
                    row.probabilities = probabilities
                yield row, probabilities

    def _aligned_at_once(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """The rows by language and task, in parts that there is memory for."""
        groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in rows:
            groups[row.language, row.options.task].append(row)
        for group in groups.values():
            longest = max(len(self._text_of(row.drafts)) for row in group)
            step = self._budget.aligned(group[0].request.features.shape[1], longest)
            yield from (group[first : first + step] for first in range(0, len(group), step))

    def _text_of(self, drafts: Sequence[Draft]) -> list[int]:
        return [t for draft in drafts for t in self._text_tokens(draft.tokens)]

    def _text_tokens(self, tokens: Sequence[int]) -> list[int]:
        return [t for t in tokens if t < self._vocabulary.end_of_text]


def _words_wanted(row: Row) -> bool:
    return row.options.word_times or row.options.words_aside


def _in_full(request: Request, watch: Watch) -> Request:
    """The window as it would have been with 30 s of encoder input."""
    return replace(
        request,
        features=to_full(request.features, request.content_frames),
        early=lambda hypothesis: request.early(watch.and_then(hypothesis)),
    )


def _languages(results: Any) -> list[LanguageProbabilities]:
    return [[(token[2:-2], probability) for token, probability in row] for row in results]


def _end_of_words(drafts: Sequence[Draft]) -> float:
    """Where the last word ends, or else the last segment; 0 without either."""
    ends = (w.end for draft in reversed(drafts) for w in reversed(draft.words))
    return next(ends, drafts[-1].end if drafts else 0.0)
