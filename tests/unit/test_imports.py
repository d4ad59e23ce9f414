"""The house rules that can be read off the imports."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import whisperlive_hybrid

ROOT = Path(whisperlive_hybrid.__file__).parent
PACKAGE = ROOT.name
MODULES = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}

PURE = {
    "live/session.py",
    "live/asking.py",
    "live/telling.py",
    "live/state.py",
    "live/pacing.py",
    "live/policy.py",
    "live/transcript.py",
    "live/frames.py",
    "live/inbox.py",
    "live/parting.py",
    "live/presence.py",
    "live/progress.py",
    "live/replay.py",
    "live/registry.py",
    "live/throttle.py",
    "live/seam.py",
    "live/utterance.py",
    "speech/segmenter.py",
    "engine/scheduler.py",
    "engine/footprint.py",
    "engine/fallback.py",
    "engine/guards.py",
    "engine/rest.py",
    "engine/segments.py",
    "ops/clients.py",
    "ops/rates.py",
    "diarization/turns.py",
    "diarization/assign.py",
    "diarization/voices.py",
    "diarization/clustering.py",
    "diarization/messages.py",
    "diarization/speaker_book.py",
    "diarization/hub_errors.py",
    "jobs/speakers.py",
    "jobs/chunk.py",
    "jobs/job.py",
    "jobs/retry.py",
    "jobs/stored.py",
    "jobs/cues.py",
    "jobs/formats.py",
    "jobs/growing.py",
    "jobs/places.py",
    "transports/start_options.py",
    "transports/deepgram_wire.py",
    "transports/websocket/deepgram.py",
    "transports/websocket/deepgram_results.py",
    "transports/websocket/deepgram_speakers.py",
    "transports/wyoming.py",
    "transports/wyoming_frames.py",
    "transports/json_text.py",
    "transports/live_door.py",
    "transports/close_codes.py",
    "transports/turnstile.py",
    "transports/realtime_settings.py",
    "transports/realtime_updates.py",
    "transports/websocket/native.py",
    "transports/websocket/openai_realtime.py",
    "transports/websocket/realtime_events.py",
    "transports/websocket/realtime_turns.py",
    "transports/websocket/whisperlive.py",
    "transports/websocket/whisperlive_config.py",
    "transports/websocket/whisperlive_segments.py",
    "client/outbox.py",
    "client/job_records.py",
    "cli/wire_transcript.py",
}
"""State machines: no I/O, no clock, no threads."""

MAY_IMPORT = {
    "errors": set(),
    "client": set(),
    "audio": {"errors"},
    "speech": {"audio", "errors"},
    "config": {"speech", "errors"},
    "ops": {"config", "errors"},
    "pages": set(),
    "storage": {"errors"},
    "engine": {"audio", "errors", "ops"},
    "diarization": {"speech", "audio", "errors", "ops"},
    "live": {"diarization", "engine", "speech", "audio", "errors"},
    "jobs": {"storage", "diarization", "engine", "speech", "audio", "errors", "ops"},
    "transports": {
        "jobs",
        "live",
        "storage",
        "diarization",
        "engine",
        "speech",
        "audio",
        "errors",
        "config",
        "ops",
        "pages",
    },
    "server": {
        "transports",
        "jobs",
        "live",
        "diarization",
        "engine",
        "speech",
        "audio",
        "storage",
        "errors",
        "config",
        "ops",
    },
    "__main__": {"cli"},
    "cli": {"server", "client", "jobs", "live", "diarization", "engine", "speech", "audio", "errors", "config", "ops"},
}
"""Room → rooms below it."""

SAME_WIRE_ON_ANOTHER_LISTENER = {"transports/http/live_socket.py"}
"""/ws/stream is answered on the HTTP port too, by the WebSocket room's own dialect."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.Module, *, at_run_time: bool = False) -> Iterator[str]:
    """Dotted names of what a module imports; `at_run_time` leaves out what only the type checker sees."""
    hidden: set[int] = set()
    if at_run_time:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                hidden |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def test_the_rules_speak_of_modules_that_exist() -> None:
    names = {name_of(path) for path in MODULES}
    assert names >= PURE | SAME_WIRE_ON_ANOTHER_LISTENER
    assert {name.split("/")[0].removesuffix(".py") for name in names} - {"__init__"} == MAY_IMPORT.keys()


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_know_no_clock_thread_or_socket(name: str) -> None:
    impure = {"asyncio", "threading", "time", "socket", "concurrent", "multiprocessing", "subprocess", "random"}
    assert not {m.split(".")[0] for m in imports(MODULES[ROOT / name])} & impure


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for imported in imports(MODULES[path], at_run_time=True):
        first, _, rest = imported.partition(".")
        target = rest.split(".")[0]
        if first == PACKAGE and target not in ("__version__", room) and room != "__init__":
            assert target in MAY_IMPORT[room], f"{room} imports {imported}"


@pytest.mark.parametrize("path", [p for p in MODULES if "transports" in p.parts], ids=name_of)
def test_front_doors_do_not_know_each_other(path: Path) -> None:
    if name_of(path) in SAME_WIRE_ON_ANOTHER_LISTENER:
        return
    mine = path.parent.name
    others = {"http": "websocket", "websocket": "http"}
    for imported in imports(MODULES[path]):
        assert f"transports.{others.get(mine, '-')}" not in imported


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name == "client"], ids=name_of)
def test_the_client_can_be_copied_elsewhere(path: Path) -> None:
    for imported in imports(MODULES[path]):
        first = imported.split(".")[0]
        assert first in {"", "websockets", "aiohttp"} or first in sys.stdlib_module_names, imported


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=name_of)
def test_packages_hold_no_logic(path: Path) -> None:
    for statement in MODULES[path].body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        constant = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) in ("__all__", "__version__")
        assert docstring or constant or isinstance(statement, ast.ImportFrom), ast.unparse(statement)


def test_no_module_is_a_drawer() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "common", "misc", "types", "base"}


TORCH = ROOT / "diarization/libraries.py"
"""Loads torch and pyannote, which takes seconds."""


def dotted(path: Path) -> str:
    return ".".join((PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def outside(tree: ast.Module) -> Iterator[str]:
    """Modules of others that a module imports when it is imported itself."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield node.module


@pytest.mark.timeout(300)  # some hundred processes
def test_each_module_imports_alone() -> None:
    """In a process that has nothing of the package yet: forked from one that only knows the libraries.

    The few modules that get torch from `diarization.libraries` find that one loaded, once it has been imported alone:
    it imports nothing of the package, so it can give them nothing but torch.
    """
    assert not [name for name in imports(MODULES[TORCH]) if name.startswith((PACKAGE, "."))]
    modules = {p: tree for p, tree in MODULES.items() if p.name != "__main__.py"}
    with_torch = [p for p, tree in modules.items() if dotted(TORCH) in outside(tree)]
    heavy = {PACKAGE, "torch", "torchaudio", "pyannote"}
    libraries = {m for tree in modules.values() for m in outside(tree) if m.split(".")[0] not in heavy}
    alone = [dotted(p) for p in modules if p not in with_torch]
    stages = [[sorted(libraries), alone], [[dotted(TORCH)], [dotted(p) for p in with_torch]]]
    assert len(with_torch) >= 3 and dotted(TORCH) in alone
    script = """
import gc, importlib, json, os, sys, warnings

failed = []
for libraries, modules in json.loads(sys.argv[1]):
    for name in libraries:
        importlib.import_module(name)
    gc.disable()
    gc.freeze()
    for name in modules:
        child = os.fork()
        if child == 0:
            warnings.simplefilter("error")
            try:
                importlib.import_module(name)
            except BaseException as error:
                print(f"{name}: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            failed.append(name)
sys.exit(1 if failed else 0)
"""
    command = [sys.executable, "-c", script, json.dumps(stages)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_whole_server_and_command_line_load_neither_torch_nor_pyannote() -> None:
    commands = [f"{PACKAGE}.cli.{p.stem}" for p in MODULES if p.parent.name == "cli" and not p.stem.startswith("__")]
    script = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
heavy = {"torch", "torchaudio", "pyannote", "transformers", "lightning", "sounddevice"} & set(sys.modules)
sys.exit(f"loaded: {heavy}" if heavy else 0)
"""
    run = subprocess.run(
        [sys.executable, "-c", script, f"{PACKAGE}.server", *commands], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
