"""The network: a miniature Whisper on the compact vocabulary, with a CTC head that only training uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tools.digits_model.words import FIRST_TIMESTAMP, OTHER, OTHER_LOG_WEIGHT, TEXT_TOKENS, TOKEN_ID, VOCABULARY_SIZE

WIDTH = 128
HEAD_WIDTH = WIDTH // 2
ALIGNMENT_HEADS = [[1, 0], [1, 1]]
"""(decoder layer, head) pairs whose cross attention follows the audio; used for word times."""
LEARNED_TIMESTAMPS = 250
"""How many timestamps (20 ms each) are taken for well learned in weights that come without a map."""


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


class TokenTable(nn.Module):  # type: ignore[misc, unused-ignore]
    """The token embeddings, in which timestamps are a linear function of the encoder's own positions.

    Encoder position p and timestamp p mean the same moment. Free embeddings, one for each of 1,501 timestamps, would
    each have to be seen in training; with a shared map, a moment at 3 s teaches those at 28 s. `weight` computes the
    ordinary table, which is all that is stored and exported besides the map itself.
    """

    TABLE = "model.decoder.embed_tokens.weight"

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(VOCABULARY_SIZE, WIDTH))
        self.map = nn.Parameter(torch.zeros(WIDTH, WIDTH))
        self.shift = nn.Parameter(torch.zeros(WIDTH))

    def weight(self, positions: Tensor) -> Tensor:
        """Encoder positions [1500, width] -> the table [vocabulary, width]; `tokens` holds what the map leaves out."""
        moments = torch.cat([positions, positions[-1:]]) @ self.map + self.shift
        return self.tokens + functional.pad(moments, (0, 0, FIRST_TIMESTAMP, 1))

    def load(self, table: Tensor, positions: Tensor, learned: int) -> None:
        """Begin from an ordinary table whose first `learned` timestamps are good; the map is fitted to those."""
        good = table[FIRST_TIMESTAMP : FIRST_TIMESTAMP + learned]
        known = torch.cat([positions[:learned], torch.ones(learned, 1)], 1)
        fitted = torch.linalg.solve(known.T @ known + 0.3 * torch.eye(WIDTH + 1), known.T @ good)
        rest = good - known @ fitted
        fading = torch.linspace(3, 0, learned).clamp(max=1)[:, None]
        with torch.no_grad():
            self.map.copy_(fitted[:-1])
            self.shift.copy_(fitted[-1])
            self.tokens.copy_(table)
            self.tokens[FIRST_TIMESTAMP:OTHER] = 0
            self.tokens[FIRST_TIMESTAMP : FIRST_TIMESTAMP + learned] = rest * fading


class DigitsNetwork(nn.Module):  # type: ignore[misc, unused-ignore]
    """Whisper encoder and decoder, a CTC head on the encoder, and encoding of windows shorter than 30 s."""

    def __init__(self) -> None:
        super().__init__()
        self.whisper: Any = WhisperForConditionalGeneration(whisper_config())
        self.ctc = nn.Linear(WIDTH, len(TEXT_TOKENS) + 1)
        self.table = TokenTable()
        # the decoder's own table is not used in training: `table` is
        self.whisper.model.decoder.embed_tokens.weight.requires_grad_(False)
        self._watched: dict[tuple[int, str], Tensor] = {}
        for number, layer in enumerate(self.whisper.model.decoder.layers):
            for name in ("q_proj", "k_proj"):
                getattr(layer.encoder_attn, name).register_forward_hook(self._watcher(number, name))
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
        table = self.table.weight(self.whisper.model.encoder.embed_positions.weight)
        output = self.whisper.model.decoder(
            inputs_embeds=functional.embedding(tokens, table), encoder_hidden_states=hidden, use_cache=False
        )[0]
        logits: Tensor = functional.linear(output, table).float() + self.bias
        return logits

    def _watcher(self, layer: int, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def watch(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._watched[layer, name] = output

        return watch

    def attention(self, layer: int, head: int) -> Tensor:
        """Where one decoder head looked in the last `decode`: logarithms of [batch, length, positions]."""
        first, last = head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH
        queries = self._watched[layer, "q_proj"][..., first:last]
        keys = self._watched[layer, "k_proj"][..., first:last]
        products: Tensor = (queries @ keys.transpose(1, 2)).float()
        return (products * HEAD_WIDTH**-0.5).log_softmax(-1)

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take weights in the stored form: Whisper's names, ``ctc.*``, and ``table.*`` if the file has them."""
        parts: dict[str, dict[str, Tensor]] = {"ctc": {}, "table": {}}
        whisper = {}
        for name, value in weights.items():
            head, _, tail = name.partition(".")
            if head in parts:
                parts[head][tail] = value
            else:
                whisper[name] = value
        self.whisper.load_state_dict(whisper)
        self.ctc.load_state_dict(parts["ctc"])
        if parts["table"]:
            self.table.load_state_dict(parts["table"])
        else:
            positions = self.whisper.model.encoder.embed_positions.weight
            self.table.load(weights[TokenTable.TABLE], positions, LEARNED_TIMESTAMPS)

    def stored_weights(self) -> dict[str, Tensor]:
        """The weights in the form `load_weights` takes, and files hold."""
        weights = {name: value.detach().clone() for name, value in self.whisper.state_dict().items()}
        for part in ("ctc", "table"):
            state = getattr(self, part).state_dict()
            weights.update({f"{part}.{name}": value.detach().clone() for name, value in state.items()})
        return with_table(weights)


def with_table(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stored weights with the ordinary token table computed from ``table.*``, as export needs it."""
    table = TokenTable()
    table.load_state_dict({name[6:]: value for name, value in weights.items() if name.startswith("table.")})
    with torch.no_grad():
        computed = table.weight(weights["model.encoder.embed_positions.weight"])
    return {**weights, TokenTable.TABLE: computed, "proj_out.weight": computed}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Weights from a file that `train.py` wrote: bare weights, or a checkpoint that holds them."""
    stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    weights: dict[str, Tensor] = stored.get("weights", stored)
    return weights
