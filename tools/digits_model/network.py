"""The network: a miniature Whisper on the compact vocabulary, with a CTC head that only training uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tools.digits_model.words import OTHER, OTHER_LOG_WEIGHT, TEXT_TOKENS, TOKEN_ID, VOCABULARY_SIZE

WIDTH = 128
ALIGNMENT_HEADS = [[1, 0], [1, 1]]
"""(decoder layer, head) pairs whose cross attention follows the audio; used for word times."""


def whisper_config(vocabulary_size: int = VOCABULARY_SIZE) -> WhisperConfig:
    """3 encoder and 2 decoder layers of width 128, 80 mel bins, 30 s, 448 text positions."""
    return WhisperConfig(
        vocab_size=vocabulary_size,
        num_mel_bins=80,
        d_model=WIDTH,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH,
        max_source_positions=1500,
        max_target_positions=448,
        dropout=0.0,
        pad_token_id=TOKEN_ID["<eot>"],
        bos_token_id=TOKEN_ID["<sot>"],
        eos_token_id=TOKEN_ID["<eot>"],
        decoder_start_token_id=TOKEN_ID["<sot>"],
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


class DigitsNetwork(nn.Module):  # type: ignore[misc, unused-ignore]
    """Whisper encoder and decoder, a CTC head on the encoder, and encoding of windows shorter than 30 s."""

    def __init__(self) -> None:
        super().__init__()
        self.whisper: Any = WhisperForConditionalGeneration(whisper_config())
        self.ctc = nn.Linear(WIDTH, len(TEXT_TOKENS) + 1)
        bias = torch.zeros(VOCABULARY_SIZE)
        bias[OTHER] = OTHER_LOG_WEIGHT
        self.register_buffer("bias", bias, persistent=False)

    def encode(self, mel: Tensor) -> Tensor:
        """Mel features [batch, 80, frames] (frames even, at most 3000) -> hidden states [batch, frames / 2, width].

        The same as Whisper's own encoder at 3000 frames; with fewer, the position table is cut to length.
        """
        encoder = self.whisper.model.encoder
        hidden = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mel)))).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        for layer in encoder.layers:
            output = layer(hidden, None)
            hidden = output[0] if isinstance(output, tuple) else output
        result: Tensor = encoder.layer_norm(hidden)
        return result

    def decode(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """Tokens [batch, length] and hidden states [batch, positions, width] -> logits [batch, length, vocabulary]."""
        output = self.whisper.model.decoder(input_ids=tokens, encoder_hidden_states=hidden, use_cache=False)[0]
        logits: Tensor = self.whisper.proj_out(output).float() + self.bias
        return logits

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take weights in the stored form: Whisper's names, plus ``ctc.*``."""
        whisper = {name: value for name, value in weights.items() if not name.startswith("ctc.")}
        self.whisper.load_state_dict(whisper)
        self.ctc.load_state_dict({"weight": weights["ctc.weight"], "bias": weights["ctc.bias"]})

    def stored_weights(self) -> dict[str, Tensor]:
        """The weights in the form `load_weights` takes, and files hold."""
        weights = {name: value.detach().clone() for name, value in self.whisper.state_dict().items()}
        weights.update({f"ctc.{name}": value.detach().clone() for name, value in self.ctc.state_dict().items()})
        return weights


def read_weights(path: Path) -> dict[str, Tensor]:
    """Weights from a file that `train.py` wrote: bare weights, or a checkpoint that holds them."""
    stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    weights: dict[str, Tensor] = stored.get("weights", stored)
    return weights
