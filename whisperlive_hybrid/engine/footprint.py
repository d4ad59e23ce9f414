"""What one call of CTranslate2 needs in memory beside the weights, by the model's dimensions. Pure arithmetic.

A call's memory is nearly all activations, and those of the decoder most of all: keys and values of the encoder output
for each layer, kept as long as a row is generated, and keys and values of what was written for each layer and each
hypothesis. Bytes of one row, with e bytes a number, p positions of encoder output (20 ms each), L decoder layers of
width w, n hypotheses of at most t tokens, and a vocabulary of v:

    cross-attention   2 L p w e        once for all hypotheses of a beam, n times where they are drawn at random
    self-attention    2 L t w e n      and one of these 2 L caches once more, while it is lengthened or put in order
    encoder output    2 p w e          ours and the decoder's
    scores            4 v 4 n          of the next token: as they are, as probabilities, sorted

t is the prompt and half of the decoder's positions (224), which is where CTranslate2 stops. The figures are upper
bounds: most hypotheses end long before. `python -m benchmarks.footprint` holds them against what the allocator says.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_POSITIONS = 1500
"""Encoder output of 30 s."""
_SCORE_BYTES = 4
"""Scores are float32 on every device."""
_SCORE_COPIES = 4
_ALIGNED_SCORE_COPIES = 2
_HALF_PRECISION = frozenset({"float16", "bfloat16", "int8_float16", "int8_bfloat16"})


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The sizes of a Whisper model that its memory depends on (Radford et al. 2022, table 1)."""

    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int
    max_length: int = 448
    """Tokens that the decoder has positions for."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that one row takes in each kind of call; `number_bytes` is the size of an activation."""

    model: Dimensions
    number_bytes: int = 4

    def encoding(self, positions: int = MAX_POSITIONS) -> int:
        """Of the encoder: the attention scores of one layer, its feed-forward step, and a few inputs and outputs."""
        d = self.model
        attention = d.heads * positions**2
        return (attention + 10 * positions * d.width) * self.number_bytes

    def generating(
        self, positions: int = MAX_POSITIONS, *, hypotheses: int = 5, drawn: bool = False, length: int | None = None
    ) -> int:
        """Of generation: with a beam of `hypotheses`, or as many `drawn` at random, of at most `length` tokens.

        `length` counts the prompt; without it there is hardly one.
        """
        d = self.model
        length = min(length or d.max_length // 2, d.max_length)
        heard = 2 * (d.decoder_layers * (hypotheses if drawn else 1) + 1) * positions * d.width
        written = (2 * d.decoder_layers + 1) * length * d.width * hypotheses
        return (heard + written) * self.number_bytes + _SCORE_COPIES * hypotheses * self._scores

    def aligning(self, positions: int = MAX_POSITIONS, *, length: int) -> int:
        """Of aligning `length` tokens: one layer at a time, but the scores of every token at once."""
        d = self.model
        heard = 2 * positions * d.width
        written = 8 * length * d.width
        attention = d.heads * length * positions
        return (heard + written + attention) * self.number_bytes + _ALIGNED_SCORE_COPIES * length * self._scores

    @property
    def _scores(self) -> int:
        """Of one token."""
        return _SCORE_BYTES * self.model.vocabulary


def number_bytes(compute_type: str) -> int:
    """Size of an activation by the precision in which CTranslate2 computes."""
    return 2 if compute_type in _HALF_PRECISION else 4
