"""A model that costs what `tiny`, `base`, `small` or `large-v3-turbo` cost, and writes what `digits` writes.

    python -m tools.cost_model --size tiny OUT_DIR

Benchmarks need a model of real size whose text can be checked, without a download. The digits model is widened: every
channel is repeated k times and every weight that sums over channels is divided by k, so that each layer computes the
same numbers k times over. Attention gets k times as many heads of the same width, so its scale stays; the mean and
variance of layer normalization do not change. Layers are added whose last matrices are zero: they cost what a layer
costs and, being residual, pass their input on. In int8 the division goes into the scale of each row, so nothing is
rounded anew. What was measured of `digits` in short windows therefore holds of it, and its gate is copied.
"""

from __future__ import annotations

import argparse
import re
import shutil
import struct
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

DIGITS = Path(__file__).parent.parent / "whisperlive_hybrid/engine/bundled/digits"

# CTranslate2's numbers for the element types of model.bin; bfloat16 (5) does not occur here.
_DTYPES = {0: "<f4", 1: "|i1", 2: "<i2", 3: "<i4", 4: "<f2"}

Variables = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Size:
    """A Whisper size: width of the layers, and how many there are (Radford et al. 2022, table 1)."""

    width: int
    encoder_layers: int
    decoder_layers: int


SIZES = {
    "tiny": Size(384, 4, 4),
    "base": Size(512, 6, 6),
    "small": Size(768, 12, 12),
    "large-v3-turbo": Size(1280, 32, 4),
}


@dataclass(frozen=True)
class ModelFile:
    """A model.bin, taken apart."""

    version: int
    kind: str
    revision: int
    variables: Variables
    aliases: dict[str, str]


def read_model(path: Path) -> ModelFile:
    """Parse CTranslate2's binary format: a header, variables, and names that share a variable."""
    data = BytesIO(path.read_bytes())
    version = _number(data, "I")
    kind = _text(data)
    revision = _number(data, "I")
    variables = {}
    for _ in range(_number(data, "I")):
        name = _text(data)
        shape = [_number(data, "I") for _ in range(_number(data, "B"))]
        dtype = np.dtype(_DTYPES[_number(data, "B")])
        variables[name] = np.frombuffer(data.read(_number(data, "I")), dtype).reshape(shape)
    aliases = {_text(data): _text(data) for _ in range(_number(data, "I"))}
    return ModelFile(version, kind, revision, variables, aliases)


def write_model(model: ModelFile, path: Path) -> None:
    """The inverse of `read_model`."""
    codes = {np.dtype(dtype): code for code, dtype in _DTYPES.items()}
    with path.open("wb") as file:
        _write(file, "I", model.version)
        _write_text(file, model.kind)
        _write(file, "I", model.revision)
        _write(file, "I", len(model.variables))
        for name, value in model.variables.items():
            _write_text(file, name)
            _write(file, "B", value.ndim)
            for length in value.shape:
                _write(file, "I", length)
            _write(file, "B", codes[value.dtype])
            _write(file, "I", value.nbytes)
            file.write(np.ascontiguousarray(value).tobytes())
        _write(file, "I", len(model.aliases))
        for alias, name in model.aliases.items():
            _write_text(file, alias)
            _write_text(file, name)


def widen(variables: Variables, k: int) -> Variables:
    """Repeat every channel k times."""
    return {name: _widened(name, value, k) for name, value in variables.items()}


def _widened(name: str, value: NDArray[Any], k: int) -> NDArray[Any]:
    if name.endswith("num_heads"):
        return np.asarray(value * k, value.dtype)
    if value.ndim == 0:
        return value
    if "embeddings/weight_scale" in name:
        return value  # one for each token
    if "embeddings/weight" in name or "position_encodings" in name:
        return np.tile(value, (1, k))
    if name.startswith("decoder/layer_norm/"):
        # The output matrix is the embedding, which is not divided: what it is multiplied by is.
        return np.tile(value, k) / np.asarray(k, value.dtype)
    blocks = _blocks(name)
    if name.endswith("/weight"):
        sums_over_mel_bands = name.startswith("encoder/conv1/")
        columns = 1 if sums_over_mel_bands else k
        wide = _tile_blocks(value, blocks, k)
        wide = np.tile(wide, (1, columns) + (1,) * (value.ndim - 2))
        return wide if value.dtype == np.int8 else wide / np.asarray(columns, value.dtype)
    wide = _tile_blocks(value, blocks, k)
    if name.endswith("/weight_scale") and not name.startswith("encoder/conv1/"):
        return wide * np.asarray(k, value.dtype)  # int8 = weight * scale: a larger scale is a smaller weight
    return wide


def _blocks(name: str) -> int:
    """Matrices stacked in one: query, key and value of self-attention, key and value of cross-attention."""
    if "/self_attention/linear_0/" in name:
        return 3
    return 2 if "/attention/linear_1/" in name else 1


def _tile_blocks(value: NDArray[Any], blocks: int, k: int) -> NDArray[Any]:
    return np.concatenate([np.tile(part, (k,) + (1,) * (value.ndim - 1)) for part in np.split(value, blocks)])


def deepen(variables: Variables, stack: str, n_layers: int) -> Variables:
    """Add layers that pass their input on, behind the real ones (alignment heads keep their numbers)."""
    pattern = re.compile(rf"{stack}/layer_(\d+)/(.+)")
    matches = [m for m in map(pattern.fullmatch, variables) if m]
    present = 1 + max(int(m[1]) for m in matches)
    added = {}
    for m in matches:
        if int(m[1]) != present - 1:
            continue
        value = variables[m[0]]
        if re.search(r"(ffn/linear_1|self_attention/linear_1|(?<!self_)attention/linear_2)/(weight|bias)$", m[2]):
            value = np.zeros_like(value)
        for layer in range(present, n_layers):
            added[f"{stack}/layer_{layer}/{m[2]}"] = value
    return variables | added


def make_cost_model(size: str, out: Path, source: Path = DIGITS) -> Path:
    """Write a model of this size to a folder, which is made. Returns the folder."""
    target = SIZES[size]
    model = read_model(source / "model.bin")
    width = model.variables["encoder/layer_norm/gamma"].shape[0]
    if target.width % width:
        raise ValueError(f"{target.width} channels are not a multiple of {width}")
    variables = widen(model.variables, target.width // width)
    variables = deepen(variables, "encoder", target.encoder_layers)
    variables = deepen(variables, "decoder", target.decoder_layers)
    out.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.suffix == ".json":
            shutil.copy(file, out)
    write_model(replace(model, variables=variables), out / "model.bin")
    return out


def _number(data: BytesIO, code: str) -> int:
    return int(struct.unpack("<" + code, data.read(struct.calcsize(code)))[0])


def _text(data: BytesIO) -> str:
    return data.read(_number(data, "H")).rstrip(b"\0").decode()


def _write(file: BinaryIO, code: str, number: int) -> None:
    file.write(struct.pack("<" + code, number))


def _write_text(file: BinaryIO, text: str) -> None:
    encoded = text.encode() + b"\0"
    _write(file, "H", len(encoded))
    file.write(encoded)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    print(make_cost_model(args.size, args.out))


if __name__ == "__main__":
    main()
