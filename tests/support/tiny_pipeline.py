"""A local folder that pyannote.audio loads as a diarization pipeline: `python -m tests.support.tiny_pipeline FOLDER`.

The pipeline's class is that of the hub's pipelines, with a PyanNet that segments, an embedding, a PLDA and clusters.
The PyanNet is tiny and always says that its first speaker talks, the embedding is the bundled one, the PLDA is loaded
and not needed. So the pipeline tells apart who speaks in one window of 10 s and who in another.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFIG = """
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: AgglomerativeClustering
    segmentation: $model/segmentation
    segmentation_batch_size: 8
    segmentation_step: 0.5
    embedding: $model/embedding
    embedding_batch_size: 8
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering:
    method: centroid
    min_cluster_size: 2
    threshold: 0.8
  segmentation:
    min_duration_off: 0.0
"""


def make_pipeline(folder: Path) -> Path:
    """Write the folder, in a process of its own, so that this one has no torch."""
    subprocess.run([sys.executable, "-m", __name__, str(folder)], check=True)
    return folder


def _write(folder: Path) -> None:
    import numpy as np
    import torch

    from whisperlive_hybrid.diarization.embedding import BUNDLED  # prepares pyannote

    from pyannote.audio.core.task import Problem, Resolution, Specifications  # isort: skip
    from pyannote.audio.models.segmentation import PyanNet  # isort: skip

    for name in ("segmentation", "embedding", "plda"):
        (folder / name).mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "embedding" / "pytorch_model.bin").symlink_to(BUNDLED / "pytorch_model.bin")

    specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=10.0,
        classes=["speaker#1", "speaker#2"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    lstm = {"hidden_size": 4, "num_layers": 1, "bidirectional": True, "monolithic": True}
    model = PyanNet(lstm=lstm, linear={"hidden_size": 4, "num_layers": 1})
    model.specifications = specifications
    model.build()
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0, 9.0, 0.0, 0.0]))
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": "2.0.0",
        "epoch": 0,
        "global_step": 0,
        "pyannote.audio": {
            "versions": {"torch": "2.0.0", "pyannote.audio": "4.0.0"},
            "architecture": {"module": PyanNet.__module__, "class": PyanNet.__name__},
            "specifications": specifications,
        },
    }
    torch.save(checkpoint, folder / "segmentation" / "pytorch_model.bin")

    n, m = 192, 128
    np.savez(folder / "plda" / "xvec_transform.npz", mean1=np.zeros(n), mean2=np.zeros(m), lda=np.eye(n, m))
    np.savez(folder / "plda" / "plda.npz", mu=np.zeros(m), tr=np.eye(m), psi=np.linspace(2.0, 1.0, m))


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
