"""A model's dimensions, from the head of each variable in its model.bin: the weights themselves are passed over."""

from __future__ import annotations

import re
import struct
from math import prod
from pathlib import Path
from typing import BinaryIO

from whisperlive_hybrid.engine.footprint import Dimensions

_OLDEST_VERSION = 4
"""Of CTranslate2's binary format; files before it tell no types."""
_LAYER = re.compile(r"(encoder|decoder)/layer_(\d+)/")


def read_dimensions(path: Path) -> Dimensions:
    """The dimensions of a Whisper model in CTranslate2's format, some milliseconds' work.

    Raises OSError where the file cannot be read, ValueError where it is none of a format that is known.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    heads = 0
    with path.open("rb") as file:
        try:
            if _number(file, "I") < _OLDEST_VERSION:
                raise ValueError(f"{path.name} has an old format")
            _text(file)
            _number(file, "I")
            for _ in range(_number(file, "I")):
                name = _text(file)
                shapes[name] = tuple(_number(file, "I") for _ in range(_number(file, "B")))
                file.read(1)
                n_bytes = _number(file, "I")
                if name == "encoder/num_heads" and n_bytes <= 4:
                    heads = int.from_bytes(file.read(n_bytes), "little")
                else:
                    file.seek(n_bytes, 1)
        except (struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} breaks off, or is no model: {error}") from None
    layers = {stack: 0 for stack in ("encoder", "decoder")}
    for match in filter(None, map(_LAYER.match, shapes)):
        layers[match[1]] = max(layers[match[1]], int(match[2]) + 1)
    try:
        vocabulary, width = shapes["decoder/embeddings/weight"]
        max_length, _ = shapes["decoder/position_encodings/encodings"]
    except (KeyError, ValueError):
        raise ValueError(f"{path.name} is no Whisper model") from None
    found = Dimensions(width, heads, layers["encoder"], layers["decoder"], vocabulary, max_length)
    if not prod((found.width, found.heads, found.encoder_layers, found.decoder_layers, found.vocabulary)):
        raise ValueError(f"{path.name} lacks layers")
    return found


def _number(file: BinaryIO, code: str) -> int:
    return int(struct.unpack("<" + code, file.read(struct.calcsize(code)))[0])


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "H")).rstrip(b"\0").decode()
