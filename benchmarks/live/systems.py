"""The systems that are compared: how each server is started and how its clients talk."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.live.clients import Dialect, Hybrid, WhisperLive
from benchmarks.peers.environment import whisperlive_python
from benchmarks.peers.process import MeasuredServer
from tests.support.running_server import free_ports

PEER_SERVER = Path(__file__).parent.parent / "peers" / "whisperlive_server.py"


@dataclass(frozen=True)
class System:
    """One row of the tables. Systems with the same `server` share a server process."""

    name: str
    label: str
    server: str
    dialect: Dialect


PASSIVE = "OMP_WAIT_POLICY=PASSIVE"
SMALL_MODEL = "tiny"
"""Of partials, where finals have a larger one."""


def systems(threshold: int = 1) -> dict[str, System]:
    """All of them by name.

    WhisperLive runs with its defaults and once tuned. threshold: `same_output_threshold` of the tuned rows. A text of
    WhisperLive is complete after threshold + 2 passes that say the same, 0.1 s apart, and 10 is its default: less is
    sooner, and may cut sentences in the middle. Tuned rows also have OpenMP's threads sleep while they wait, which our
    server sets for itself.
    """
    tuned = WhisperLive((("same_output_threshold", threshold),))
    peer, how = "WhisperLive 0.10.0", f"tuned (threshold {threshold}, {PASSIVE})"
    each = (
        System("ours", "WhisperLive Hybrid, 256 ms float32", "ours", Hybrid()),
        System("ours-opus", "WhisperLive Hybrid, 500 ms Opus", "ours", Hybrid(opus=True, message_s=0.5)),
        System("ours-two", f"WhisperLive Hybrid, partials by a {SMALL_MODEL}-sized model", "ours-two", Hybrid()),
        System("whisperlive", f"{peer}", "whisperlive", WhisperLive()),
        System("whisperlive-tuned", f"{peer}, {how}", "whisperlive-passive", tuned),
        System("whisperlive-batch", f"{peer}, batch mode", "whisperlive-batch", WhisperLive()),
        System("whisperlive-batch-tuned", f"{peer}, batch mode, {how}", "whisperlive-batch-passive", tuned),
    )
    return {system.name: system for system in each}


SYSTEMS = tuple(systems())


@dataclass
class Started:
    """A running server and the address of its live port."""

    server: MeasuredServer
    url: str
    http_url: str | None = None

    def wait_ready(self, timeout_s: float = 120.0) -> None:
        """Until our server has loaded its model; WhisperLive loads it with its first session."""
        deadline = time.monotonic() + timeout_s
        while self.http_url is not None and time.monotonic() < deadline:
            self.server.check()
            try:
                with urllib.request.urlopen(self.http_url + "/health", timeout=10) as answer:
                    if json.load(answer).get("status") in ("ok", "degraded"):
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.1)
        if self.http_url is not None:
            raise RuntimeError(f"our server is not ready after {timeout_s:.0f} s:\n{self.server.tail()}")


def start(
    kind: str, model: Path, threads: int, folder: Path, settings: Mapping[str, str], *, device: str = "cpu"
) -> Started:
    """A server of one kind on free ports, not entered yet: `with started.server:` runs it.

    model: CTranslate2 folder. threads: of one inference, on both sides. settings: environment of ours, over
    its defaults. device: cpu, or cuda for both.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, http_port = free_ports(2)
    # Importing our engine has set OpenMP's waiting in this process: it is not for the others to inherit.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    environment["OMP_NUM_THREADS"] = str(threads)
    if device == "cpu":
        environment |= {"CUDA_VISIBLE_DEVICES": "", "DEVICE": "cpu"}  # WhisperLive takes a GPU whenever it sees one
    if kind.startswith("ours"):
        environment |= {
            "FASTERWHISPER_MODEL": str(model),
            "PORT_WHISPERLIVE": str(port),
            "HTTP_PORT": str(http_port),
            "AUDIO_STORAGE_PATH": str(folder / "uploads"),
            "DATA_DIR": str(folder / "data"),
            "MAX_LIVE_SESSIONS": "1000",
            **settings,
        }
        command = [sys.executable, "-m", "whisperlive_hybrid", "serve"]
        server = MeasuredServer(command, port, environment, folder / "ours.log", cwd=folder)
        return Started(server, f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{http_port}")
    if kind.endswith("-passive"):
        environment |= dict([PASSIVE.split("=")])
    options: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "backend": "faster_whisper",
        "faster_whisper_custom_model_path": str(model),
        "single_model": True,  # as its command does by default with a model of one's own
        "max_clients": 1000,
        "max_connection_time": 36000,
        "cache_path": str(folder / "cache"),
    }
    if "-batch" in kind:
        # Its admission control would turn sessions away while they connect; what it can carry is measured here.
        options |= {"batch_enabled": True, "batch_max_queue_wait_s": 3600.0, "batch_max_admissions_per_s": 1000.0}
    command = [str(whisperlive_python()), str(PEER_SERVER), json.dumps(options)]
    return Started(
        MeasuredServer(command, port, environment, folder / f"{kind}.log", cwd=folder), f"ws://127.0.0.1:{port}"
    )
