"""`whisperlive-hybrid models`: what is here, what can be had, and whether it works."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.settings_flags import add_settings_flags, settings_from
from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.ops.logs import set_up_logging

if TYPE_CHECKING:
    from whisperlive_hybrid.engine.device import Device
    from whisperlive_hybrid.engine.models import Located

EXAMPLES = """\
examples:
  whisperlive-hybrid models list
  whisperlive-hybrid models fetch small
  whisperlive-hybrid models check ./my-model         load it and run it once
  whisperlive-hybrid models gate small --audio DIR   measure which windows may be shorter than 30 s
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, with which model."""
    parser.usage = "%(prog)s [list | fetch NAME | check NAME | gate NAME --audio PATH …] [--SETTING VALUE …]"
    parser.add_argument("action", choices=("list", "fetch", "check", "gate"), nargs="?", default="list")
    parser.add_argument("name", nargs="?", help="a size, a hub id, a folder, digits or auto [the default model]")
    gate = parser.add_argument_group("gate")
    gate.add_argument(
        "--audio",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="recordings, or folders of them; a .txt of the same name holds what is said in one",
    )
    gate.add_argument(
        "--limit",
        type=float,
        default=0.3,
        metavar="PERCENT",
        help="words that may be wrong more than in 30 s [0.3]",
    )
    gate.add_argument("--out", type=Path, metavar="FILE", help="keep it here instead of beside the model")
    add_settings_flags(
        parser,
        {
            "fasterwhisper_model",
            "model_cache",
            "hf_token",
            "device",
            "device_index",
            "compute_type",
            "omp_num_threads",
            "default_language",
        },
    )


def run(args: argparse.Namespace) -> int:
    """List, fetch, check or measure."""
    settings = settings_from(args)
    set_up_logging("info" if args.action == "fetch" else "warning", "text")
    name = args.name or settings.fasterwhisper_model
    if args.action == "list":
        return _list(settings)
    if args.action == "fetch":
        print(_locate(name, settings, download=True).path)
        return exit_codes.OK
    if args.action == "gate":
        from whisperlive_hybrid.cli.model_gate import measure_gate

        found = _locate(name, settings, download=False)
        return measure_gate(found, settings, args.audio or [], limit=args.limit, out=args.out)
    return _check(name, settings)


def describe(name: str, settings: Settings) -> tuple[Literal["ok", "missing", "bad"], str]:
    """Whether a model can be had, and what it is, in words; `missing`: another one takes its place.

    Downloads nothing.
    """
    from whisperlive_hybrid.engine import models

    try:
        found = _locate(name, settings, download=False)
    except HybridError as error:
        if models.hub_id(name) is not None and models.hub_reachable():
            return "ok", f"{name}: will be downloaded when the server starts"
        return "bad", exit_codes.line_of(error)
    if found.note is None:
        return "ok", f"{found.name} in {found.path}"
    preferred = models.preferred(_device(settings))
    if models.hub_reachable():
        return "ok", f"{preferred}: will be downloaded when the server starts"
    return "missing", found.note


def _list(settings: Settings) -> int:
    from whisperlive_hybrid.engine import models

    print(f"default  {describe(settings.fasterwhisper_model, settings)[1]}")
    for name in (models.DIGITS, *models.sizes()):
        repository = models.hub_id(name)
        if repository is None:
            path: Path | None = _locate(name, settings, download=False).path
        else:
            path = models.cached(repository, settings.model_cache)
        if path is None:
            print(f"-        {name}")
        else:
            print(f"here     {name:<22} {models.folder_size(path) / 1e6:>6.0f} MB  {path}")
    return exit_codes.OK


def _check(name: str, settings: Settings) -> int:
    """Load a model and run a second of silence and noise through it; says what it is."""
    import asyncio

    from whisperlive_hybrid.cli.in_process import try_model

    found = _locate(name, settings, download=False)
    print(f"{found.name}: files complete in {found.path}", flush=True)
    print(asyncio.run(try_model(name, settings)))
    return exit_codes.OK


def _locate(name: str, settings: Settings, *, download: bool) -> Located:
    from whisperlive_hybrid.engine import models

    found = models.locate(name, _device(settings), settings.model_cache, settings.hf_token, download=download)
    if download and found.note:
        print(found.note, file=sys.stderr)
    return found


def _device(settings: Settings) -> Device:
    from whisperlive_hybrid.engine.device import find_device

    return find_device(settings.device, settings.device_index, settings.compute_type, settings.omp_num_threads, 0)
