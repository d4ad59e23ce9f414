"""Published weights of CAM++ → the folder that this package ships, which `pyannote.audio.Model` loads.

    python -m tools.speaker_model campplus_cn_en_common.pt whisperlive_hybrid/diarization/bundled/campplus

README.md beside this file says where the weights come from. Half precision halves the folder and moves an embedding by
less than a thousandth; the network itself runs in single precision.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
"""Of campplus_cn_en_common.pt."""


def convert(weights: Path, folder: Path) -> None:
    """Write `folder`/pytorch_model.bin. Raises ValueError for other weights than the ones this was made for."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{weights} has the SHA-256 {digest}, not {SHA256}")

    import torch

    from whisperlive_hybrid.diarization.campplus import CamPlusPlus
    from whisperlive_hybrid.diarization.libraries import Model  # prepares pyannote

    from pyannote.audio.core.task import Problem, Resolution, Specifications  # isort: skip

    state = {
        name.replace("xvector.dense.", "dense."): value
        for name, value in torch.load(weights, map_location="cpu", weights_only=True).items()
    }
    model = CamPlusPlus()
    model.load_state_dict(state, strict=True)
    half = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    checkpoint = {
        "state_dict": half,
        "hyper_parameters": {"sample_rate": 16_000, "num_channels": 1, "dimension": 192},
        "pytorch-lightning_version": "2.0.0",
        "epoch": 0,
        "global_step": 0,
        "pyannote.audio": {
            "versions": {"torch": "2.0.0", "pyannote.audio": "4.0.0"},
            "architecture": {"module": CamPlusPlus.__module__, "class": CamPlusPlus.__name__},
            "specifications": Specifications(
                problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=10.0, min_duration=1.0
            ),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, folder / "pytorch_model.bin")
    assert Model.from_pretrained(folder) is not None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    convert(given.weights, given.folder)
