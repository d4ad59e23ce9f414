"""Train the digits model further (or from nothing) on a clip bank, on CPU or GPU.

The length of the windows grows in small steps (`--lengths`), each for an equal share of the time: a jump from 10 to
30 s loses the decoder. The learning rate falls from `--rate` to nearly nothing over `--minutes`. The run can be
stopped at any time: start it again with the same output and it goes on where its last checkpoint was.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import multiprocessing.queues
import os
import random
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tools.digits_model.mixing import IGNORED, Batch, BatchMaker, ClipBank, WindowMixer
from tools.digits_model.network import DigitsNetwork, read_weights, with_table
from tools.digits_model.words import CTC_BLANK, TEXT_TOKENS, VOCABULARY_SIZE

WARM_UP_STEPS = 100
POSITIONS_PER_SECOND = 50
SPAN_MARGIN = 0.06
"""Seconds of tolerance around the time a token is about."""
CHECKPOINT_SECONDS = 120.0


def _produce(
    batches: multiprocessing.queues.Queue[Batch], bank: Path, seed: int, longest: Synchronized[float], budget: int
) -> None:
    """Mix batches in a process of its own, so that mixing and training overlap."""
    torch.set_num_threads(1)
    parent = os.getppid()
    maker = BatchMaker(WindowMixer(ClipBank(bank), seed))
    while os.getppid() == parent:
        batches.put(maker.mixed(longest.value, budget))


def losses(
    network: DigitsNetwork, batch: Batch, device: torch.device, encoder_learns: bool = True
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Losses of one batch, and the share of the words that are right.

    The losses: cross entropy of the decoder, CTC of the encoder, and how far the decoder looks beside what it writes.
    """
    mel = torch.from_numpy(batch.mel).to(device)
    tokens, labels = torch.from_numpy(batch.tokens).to(device), torch.from_numpy(batch.labels).to(device)
    with torch.autocast(device.type, torch.bfloat16):
        with torch.set_grad_enabled(encoder_learns and torch.is_grad_enabled()):
            hidden = network.encode(mel)
        logits = network.decode(tokens, hidden.repeat_interleave(batch.variants, 0))
        heard = network.ctc(hidden).float().log_softmax(-1).transpose(0, 1)
    entropy = functional.cross_entropy(logits.reshape(-1, VOCABULARY_SIZE), labels.reshape(-1), ignore_index=IGNORED)
    ctc = functional.ctc_loss(
        heard,
        torch.tensor([token for spoken in batch.spoken for token in spoken], dtype=torch.long, device=device),
        torch.full((mel.shape[0],), heard.shape[0]),
        torch.tensor([len(spoken) for spoken in batch.spoken]),
        blank=CTC_BLANK,
        zero_infinity=True,
    )
    spans = torch.from_numpy(batch.spans).to(device)
    beside = sum(
        (missed(network.attention(1, head), spans[..., :2]) for head in (0, 1)),
        start=missed(network.attention(0, 0), spans[..., 2:]),
    )
    words = (labels >= 0) & (labels < len(TEXT_TOKENS) - 1)
    right = float((logits.argmax(-1) == labels)[words].float().mean()) if bool(words.any()) else 1.0
    return entropy, ctc, beside / 3, right


def missed(attention: Tensor, spans: Tensor) -> Tensor:
    """Mean of -log(share of the attention that falls into the span), over tokens that have one.

    attention: logarithms, [batch, length, positions]; spans: [batch, length, 2], seconds.
    """
    times = (torch.arange(attention.shape[-1], device=attention.device) + 0.5) / POSITIONS_PER_SECOND
    first, last = spans[..., :1] - SPAN_MARGIN, spans[..., 1:] + SPAN_MARGIN
    inside = (times >= first) & (times <= last)
    known = (spans[..., 1] > 0) & inside.any(-1)
    share = attention.masked_fill(~inside, -20.0).logsumexp(-1)[known]
    return -share.mean() if len(share) else attention.sum() * 0


class Average:
    """An exponential moving average of the weights: steadier than the last step's."""

    def __init__(self, network: DigitsNetwork, decay: float = 0.998) -> None:
        self.decay = decay
        self.steps = 0
        self.weights = network.stored_weights()

    def update(self, network: DigitsNetwork) -> None:
        """Take one step's weights in; the first steps weigh more."""
        self.steps += 1
        share = max(1 - self.decay, 1 / (10 + self.steps / 2))
        for name, value in network.stored_weights().items():
            self.weights[name].lerp_(value, share)


def rate_at(peak: float, share: float, step: int) -> float:
    """Learning rate: a short warm-up, then half a cosine over the share (0 to 1) of the run that has passed."""
    return peak * min(1.0, (step + 1) / WARM_UP_STEPS) * (0.5 * (1 + math.cos(math.pi * min(1.0, share))) + 0.01)


def train(options: argparse.Namespace) -> None:
    """Run until the minutes are used up; see the module's description."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    network = DigitsNetwork()
    elapsed, step = 0.0, 0
    checkpoint: dict[str, Any] | None = None
    if options.out.exists():
        checkpoint = torch.load(options.out, map_location="cpu", weights_only=True)
        network.load_weights(checkpoint["last"])
        elapsed, step = checkpoint["elapsed"], checkpoint["step"]
    elif options.start:
        network.load_weights(read_weights(options.start))
    network.to(device)
    average = Average(network)
    # the encoder's positions are fixed sinusoids, and the output layer shares the token table
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.02)
    if checkpoint is not None:
        average.weights = {name: value.to(device) for name, value in checkpoint["weights"].items()}
        optimizer.load_state_dict(checkpoint["optimizer"])

    context = multiprocessing.get_context("spawn")
    longest: Synchronized[float] = context.Value("d", options.lengths[0])
    batches: multiprocessing.queues.Queue[Batch] = context.Queue(4)
    arguments = (batches, options.bank, options.seed + step, longest, options.budget)
    context.Process(target=_produce, args=arguments, daemon=True).start()

    def save() -> None:
        stored = {
            "weights": with_table(average.weights),
            "last": network.stored_weights(),
            "optimizer": optimizer.state_dict(),
        }
        temporary = options.out.with_suffix(".new")
        torch.save({**stored, "elapsed": elapsed, "step": step}, temporary)
        temporary.replace(options.out)

    chance = random.Random(options.seed + step)
    clock = saved = time.monotonic()
    total = options.minutes * 60
    shown = [0.0] * 5
    while elapsed < total and not (options.deadline and time.time() > options.deadline):
        share = elapsed / total
        longest.value = options.lengths[min(len(options.lengths) - 1, int(share * len(options.lengths)))]
        for group in optimizer.param_groups:
            group["lr"] = rate_at(options.rate, share, step)
        batch = batches.get()
        encoder_learns = chance.random() < options.encoder_share
        entropy, ctc, beside, right = losses(network, batch, device, encoder_learns)
        optimizer.zero_grad()
        (entropy + options.ctc * ctc + options.guide * beside).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        average.update(network)
        step += 1
        now = time.monotonic()
        elapsed, clock = elapsed + min(now - clock, 20.0), now
        shown = [a + b for a, b in zip(shown, (entropy.item(), ctc.item(), beside.item(), right, 1.0), strict=True)]
        if step % 50 == 0:
            mean = [value / shown[4] for value in shown[:4]]
            shown = [0.0] * 5
            print(
                f"{elapsed / 60:.1f} min step {step} up to {longest.value:g} s: "
                f"loss {mean[0]:.3f} ctc {mean[1]:.3f} beside {mean[2]:.3f} words right {mean[3]:.3f}",
                flush=True,
            )
        if now - saved > CHECKPOINT_SECONDS:
            saved = now
            save()
    save()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path, help="clip bank from tools.digits_model.bank")
    parser.add_argument("out", type=Path, help="checkpoint to write, and to go on from if it is there")
    parser.add_argument("--start", type=Path, help="weights to begin with (default: none)")
    parser.add_argument("--minutes", type=float, default=60.0, help="time to train (default: %(default)s)")
    parser.add_argument(
        "--lengths",
        type=_numbers,
        default=[13, 16, 20, 25, 30, 30, 30],
        metavar="SECONDS,...",
        help="longest window, step by step (default: 13,16,20,25,30,30,30)",
    )
    parser.add_argument("--rate", type=float, default=5e-4, help="learning rate at the start (default: %(default)s)")
    parser.add_argument("--ctc", type=float, default=0.3, help="weight of the CTC loss (default: %(default)s)")
    parser.add_argument(
        "--encoder-share",
        type=float,
        default=1.0,
        help="share of the steps in which the encoder "
        "learns, too; fewer are quicker where the decoder has most to learn (default: %(default)s)",
    )
    parser.add_argument(
        "--guide",
        type=float,
        default=0.3,
        help="weight of the decoder's looking beside what it writes (default: %(default)s)",
    )
    parser.add_argument("--budget", type=int, default=16_000, help="mel frames per batch (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--deadline", type=float, help="stop at this time (seconds since 1970), whatever is left")
    train(parser.parse_args())


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
