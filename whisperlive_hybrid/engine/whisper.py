"""Whisper on CTranslate2: encode once, then language, text, fallback and word times from the same encoder output."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import tokenizers
from ctranslate2.models import Whisper
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine import fallback, prompt, words
from whisperlive_hybrid.engine.backend import LanguageProbabilities, Request
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.fallback import Attempt
from whisperlive_hybrid.engine.features import FRAMES_PER_SECOND, Features, LogMel
from whisperlive_hybrid.engine.gate import Padding
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment, Timing, Word
from whisperlive_hybrid.engine.mel import OwnersMel
from whisperlive_hybrid.engine.memory import return_freed_memory
from whisperlive_hybrid.engine.segments import Draft, split
from whisperlive_hybrid.engine.window import DecodeOptions, Lane

_MAX_INITIAL_TIMESTAMP = 50
"""Speech begins at most 1 s (50 steps of 20 ms) into the window."""
_CPU_ENCODER_FRAMES = 3000
"""Frames that a CPU encodes at once. The encoder's arithmetic gains nothing from larger batches there, and attention
scores (heads x frames² each) fall out of the cache; the decoder does gain, and always takes the whole batch."""


class Encoded:
    """Encoder output of a batch, of which rows can be taken.

    Rows are cut on the CPU: CTranslate2 cannot slice. On a GPU that costs a copy of 3.8 MB a row (large models) in each
    direction, and happens only where part of a batch goes its own way; a whole batch never leaves the device.
    """

    def __init__(self, parts: Sequence[Any], n_rows: int) -> None:
        self._n_rows = n_rows
        self._array: NDArray[Any] | None = None
        if len(parts) > 1:
            self._array = np.concatenate([_to_numpy(part) for part in parts])
        self._whole = parts[0] if self._array is None else ctranslate2.StorageView.from_array(self._array)

    def rows(self, indices: Sequence[int] | None = None) -> Any:
        """StorageView [len(indices), frames, width]; all rows without indices."""
        if indices is None or list(indices) == list(range(self._n_rows)):
            return self._whole
        if self._array is None:
            self._array = _to_numpy(self._whole)
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(self._array[list(indices)]))


def _to_numpy(output: Any) -> NDArray[Any]:
    if output.device != "cpu":
        output = output.to_device(ctranslate2.Device.cpu)
    if output.dtype == ctranslate2.DataType.bfloat16:  # numpy has no such type
        output = output.to(ctranslate2.DataType.float32)
    return np.asarray(output)


@dataclass(frozen=True, slots=True)
class _Spoken:
    language: str
    probability: float


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

    def detect_languages(self, requests: Sequence[Request]) -> list[LanguageProbabilities]:
        """(code, probability) for each window, likeliest first."""
        if not self.multilingual:
            return [[("en", 1.0)] for _ in requests]
        return _languages(self._model.detect_language(self._encode(requests).rows()))

    def run(self, requests: Sequence[Request]) -> list[Hypothesis]:
        """Transcribe windows that share a batch key."""
        started = time.perf_counter()
        encoded = self._encode(requests)
        encoded_at = time.perf_counter()
        spoken = self._spoken(encoded, requests)
        chosen = self._decode(encoded, requests, spoken)
        decoded_at = time.perf_counter()
        drafts: list[list[Draft]] = []
        consumed: list[float] = []
        closed: list[bool] = []
        for request, attempt in zip(requests, chosen, strict=True):
            duration = request.content_frames / FRAMES_PER_SECOND
            if fallback.is_silence(attempt, request.window.options):
                drafts.append([])
                consumed.append(duration)
                closed.append(True)
                continue
            parts = split(attempt.tokens, self._vocabulary.timestamp_begin, duration)
            drafts.append(parts.drafts)
            consumed.append(parts.consumed_s)
            closed.append(parts.closed)
        self._align(encoded, requests, spoken, drafts)
        for i, request in enumerate(requests):
            if request.window.options.word_times and not closed[i]:
                consumed[i] = _end_of_words(drafts[i]) or consumed[i]
        timing = Timing(
            encode_s=encoded_at - started,
            decode_s=decoded_at - encoded_at,
            align_s=time.perf_counter() - decoded_at,
            batch_size=len(requests),
        )
        return [
            Hypothesis(
                window_id=request.window.id,
                segments=self._segments(request, chosen[i], drafts[i]),
                language=spoken[i].language,
                language_probability=spoken[i].probability,
                consumed_s=consumed[i],
                timing=timing,
            )
            for i, request in enumerate(requests)
        ]

    def _encode(self, requests: Sequence[Request]) -> Encoded:
        n_rows, n_frames = len(requests), requests[0].features.shape[1]
        step = n_rows if self._device.kind == "cuda" else max(1, _CPU_ENCODER_FRAMES // n_frames)
        parts = []
        for first in range(0, n_rows, step):
            mel = np.stack([r.features for r in requests[first : first + step]])
            parts.append(self._model.encode(ctranslate2.StorageView.from_array(mel)))
        return Encoded(parts, n_rows)

    def _spoken(self, encoded: Encoded, requests: Sequence[Request]) -> list[_Spoken]:
        """The language of each window: given, or detected among those allowed."""
        if not self.multilingual:
            return [_Spoken("en", 1.0) for _ in requests]
        spoken = [_Spoken(r.window.options.language or "", 1.0) for r in requests]
        unknown = [i for i, s in enumerate(spoken) if not s.language]
        if unknown:
            found = _languages(self._model.detect_language(encoded.rows(unknown)))
            for i, probabilities in zip(unknown, found, strict=True):
                allowed = requests[i].window.options.languages
                among = [p for p in probabilities if p[0] in allowed] or probabilities
                spoken[i] = _Spoken(*among[0])
        return spoken

    def _decode(self, encoded: Encoded, requests: Sequence[Request], spoken: Sequence[_Spoken]) -> list[Attempt]:
        """Decode all rows at the first temperature, then only those that failed at the next ones."""
        options = requests[0].window.options
        prompts = [
            prompt.full_prompt(
                self._vocabulary, r.previous, s.language, r.window.options.task, r.window.options.timestamps
            )
            for r, s in zip(requests, spoken, strict=True)
        ]
        attempts: list[list[Attempt]] = [[] for _ in requests]
        pending = list(range(len(requests)))
        for temperature in options.temperatures:
            made = self._generate(encoded.rows(pending), [prompts[i] for i in pending], options, temperature)
            for i, attempt in zip(pending, made, strict=True):
                attempts[i].append(attempt)
            pending = [i for i in pending if fallback.needs_retry(attempts[i][-1], requests[i].window.options)]
            if not pending:
                break
        return [fallback.choose(a, r.window.options) for a, r in zip(attempts, requests, strict=True)]

    def _generate(
        self, rows: Any, prompts: list[list[int]], options: DecodeOptions, temperature: float
    ) -> list[Attempt]:
        if temperature > 0:
            search = {
                "beam_size": 1,
                "num_hypotheses": options.best_of,
                "sampling_topk": 0,
                "sampling_temperature": temperature,
            }
        else:
            search = {"beam_size": options.beam_size, "patience": options.patience}
        results = self._model.generate(
            rows,
            prompts,
            length_penalty=options.length_penalty,
            repetition_penalty=options.repetition_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            max_length=prompt.max_length(len(prompts[0]), options.max_new_tokens),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=options.suppress_blank,
            suppress_tokens=self._vocabulary.suppressed(options.suppress_tokens),
            max_initial_timestamp_index=_MAX_INITIAL_TIMESTAMP,
            **search,
        )
        attempts = []
        for result in results:
            tokens = tuple(result.sequences_ids[0])
            attempts.append(
                Attempt(
                    tokens=tokens,
                    temperature=temperature,
                    avg_log_probability=fallback.mean_log_probability(
                        result.scores[0], len(tokens), options.length_penalty
                    ),
                    compression_ratio=fallback.compression_ratio(self._vocabulary.text(tokens).strip()),
                    no_speech_probability=result.no_speech_prob,
                )
            )
        return attempts

    def _align(
        self,
        encoded: Encoded,
        requests: Sequence[Request],
        spoken: Sequence[_Spoken],
        drafts: Sequence[Sequence[Draft]],
    ) -> None:
        """Give words to the drafts of every window that asked for them, one call for each language and task."""
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, request in enumerate(requests):
            if request.window.options.word_times and drafts[i]:
                groups[spoken[i].language, request.window.options.task].append(i)
        for rows in groups.values():
            tokens = self._vocabulary.speaking(spoken[rows[0]].language, requests[rows[0]].window.options.task)
            texts = [[t for draft in drafts[i] for t in draft.tokens if t < tokens.eot] for i in rows]
            aligned = self._model.align(
                encoded.rows(rows), tokens.sot_sequence, texts, [requests[i].content_frames for i in rows]
            )
            for i, result in zip(rows, aligned, strict=True):
                words.place_words(drafts[i], tokens, result.alignments, result.text_token_probs)

    def _segments(self, request: Request, attempt: Attempt, drafts: Sequence[Draft]) -> tuple[Segment, ...]:
        offset = request.window.start / SAMPLE_RATE
        segments = []
        for draft in drafts:
            text = self._vocabulary.text(draft.tokens)
            if draft.start == draft.end or not text.strip():
                continue
            segments.append(
                Segment(
                    start=round(offset + draft.start, 3),
                    end=round(offset + draft.end, 3),
                    text=text,
                    tokens=tuple(draft.tokens),
                    temperature=attempt.temperature,
                    avg_log_probability=attempt.avg_log_probability,
                    compression_ratio=attempt.compression_ratio,
                    no_speech_probability=attempt.no_speech_probability,
                    words=tuple(
                        Word(w.text, round(offset + w.start, 3), round(offset + w.end, 3), w.probability)
                        for w in draft.words
                    ),
                )
            )
        return tuple(segments)


def _languages(results: Any) -> list[LanguageProbabilities]:
    return [[(token[2:-2], probability) for token, probability in row] for row in results]


def _end_of_words(drafts: Sequence[Draft]) -> float:
    """Where the last word ends, or else the last segment; 0 without either."""
    ends = (w.end for draft in reversed(drafts) for w in reversed(draft.words))
    return next(ends, drafts[-1].end if drafts else 0.0)
