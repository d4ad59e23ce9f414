"""CAM++, the network of the bundled speaker embedding, as a pyannote.audio `Model`.

Wang, Zheng, Chen, Cheng, Chen: CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking
(Interspeech 2023, arXiv:2303.00332). A convolutional head over the spectrogram, three blocks of densely connected
time-delay layers each of which is gated by the mean over all frames and over its second, and statistics of all frames.

Modules are named as in the weights that are published with the paper. Importing this module loads torch.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache, partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whisperlive_hybrid.diarization.libraries import Model, StatsPool, kaldi

FRAME, HOP, N_MELS = 400, 160, 80
"""Samples of a frame and between two, and mel bins of it."""
BLOCKS: Final = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each block."""
WIDTH, GROWTH, BOTTLENECK = 128, 32, 128
LOCAL_FRAMES: Final = 100
"""Frames (of two hops each) whose mean is the local context of a gate."""


class CamPlusPlus(Model):
    """Speaker embeddings: waveforms float32 [batch, 1, n_samples] at 16 kHz → float32 [batch, dimension]."""

    def __init__(
        self, sample_rate: int = 16_000, num_channels: int = 1, dimension: int = 192, task: Any = None
    ) -> None:
        super().__init__(sample_rate=sample_rate, num_channels=num_channels, task=task)
        self.save_hyperparameters("sample_rate", "num_channels", "dimension")
        self.head = _Head()
        self.xvector = nn.Sequential()
        self.xvector.add_module("tdnn", _TimeDelay(32 * (N_MELS // 8), WIDTH))
        channels = WIDTH
        for number, (n_layers, dilation) in enumerate(BLOCKS, 1):
            layers = nn.Sequential()
            for i in range(n_layers):
                layers.add_module(f"tdnnd{i + 1}", _DenseLayer(channels + i * GROWTH, dilation))
            channels += n_layers * GROWTH
            self.xvector.add_module(f"block{number}", layers)
            self.xvector.add_module(f"transit{number}", _Transit(channels, channels // 2))
            channels //= 2
        self.xvector.add_module("out_nonlinear", _norm_relu(channels))
        self.pool = StatsPool()
        self.dense = _Projection(2 * channels, dimension)
        self._fbank = partial(
            kaldi.fbank, num_mel_bins=N_MELS, sample_frequency=sample_rate, dither=0.0, window_type="povey"
        )

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return int(self.hparams.dimension)

    @lru_cache  # noqa: B019  # as pyannote's own models do
    def num_frames(self, num_samples: int) -> int:
        """Frames that are pooled."""
        return math.ceil((1 + (num_samples - FRAME) // HOP) / 2)

    def receptive_field_size(self, num_frames: int = 1) -> int:
        """Samples that so many frames are spaced over."""
        return FRAME + 2 * (num_frames - 1) * HOP

    def receptive_field_center(self, frame: int = 0) -> int:
        """The sample in the middle of a frame."""
        return FRAME // 2 + 2 * frame * HOP

    @cached_property
    def min_samples(self) -> int:
        """Fewer give no embedding: statistics need two frames."""
        return FRAME + 2 * HOP

    def forward(self, waveforms: Tensor, weights: Tensor | None = None) -> Tensor:
        """See class. `weights` [batch, frames] or [batch, speakers, frames]: how much each frame counts."""
        features = torch.vmap(self._fbank)(waveforms * (1 << 15))
        features = features - features.mean(dim=1, keepdim=True)
        frames = self.xvector(self.head(features.transpose(1, 2)))
        pooled = self.pool(frames, weights=weights)
        if pooled.dim() == 2:
            return self.dense(pooled)
        n_batch, n_speakers, _ = pooled.shape
        return self.dense(pooled.flatten(0, 1)).view(n_batch, n_speakers, -1)


def _norm_relu(channels: int) -> nn.Sequential:
    block = nn.Sequential()
    block.add_module("batchnorm", nn.BatchNorm1d(channels))
    block.add_module("relu", nn.ReLU())
    return block


class _Head(nn.Module):
    """float32 [batch, 80, frames] → [batch, 320, frames]: two-dimensional convolutions over an eighth of the bins."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(_Residual(channels, 2), _Residual(channels, 1))
        self.layer2 = nn.Sequential(_Residual(channels, 2), _Residual(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, bins: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(bins.unsqueeze(1))))
        x = F.relu(self.bn2(self.conv2(self.layer2(self.layer1(x)))))
        return x.flatten(1, 2)


class _Residual(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut.append(nn.Conv2d(channels, channels, 1, stride=(stride, 1), bias=False))
            self.shortcut.append(nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class _TimeDelay(nn.Module):
    """The first layer; it halves the frames."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(n_in, n_out, 5, stride=2, padding=2, bias=False)
        self.nonlinear = _norm_relu(n_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x))


class _DenseLayer(nn.Module):
    """Adds GROWTH channels to those it is given."""

    def __init__(self, n_in: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _norm_relu(n_in)
        self.linear1 = nn.Conv1d(n_in, BOTTLENECK, 1, bias=False)
        self.nonlinear2 = _norm_relu(BOTTLENECK)
        self.cam_layer = _ContextMask(BOTTLENECK, GROWTH, dilation)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))], dim=1)


class _ContextMask(nn.Module):
    """A dilated convolution, gated by the means of all frames and of the frame's own LOCAL_FRAMES."""

    def __init__(self, n_in: int, n_out: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(n_in, n_out, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(n_in, n_in // 2, 1)
        self.linear2 = nn.Conv1d(n_in // 2, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        local = F.avg_pool1d(x, LOCAL_FRAMES, stride=LOCAL_FRAMES, ceil_mode=True)
        local = local.repeat_interleave(LOCAL_FRAMES, dim=-1)[..., : x.shape[-1]]
        context = x.mean(dim=-1, keepdim=True) + local
        gate = torch.sigmoid(self.linear2(F.relu(self.linear1(context))))
        return self.linear_local(x) * gate


class _Transit(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.nonlinear = _norm_relu(n_in)
        self.linear = nn.Conv1d(n_in, n_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.nonlinear(x))


class _Projection(nn.Module):
    """Statistics to an embedding."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(n_in, n_out, 1, bias=False)
        self.nonlinear = nn.Sequential()
        self.nonlinear.add_module("batchnorm", nn.BatchNorm1d(n_out, affine=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x.unsqueeze(-1)).squeeze(-1))
