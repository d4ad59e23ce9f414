"""Where results go and in which form: one way for files transcribed in this process and on a server."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.progress import ProgressLine
from whisperlive_hybrid.jobs import formats
from whisperlive_hybrid.jobs.cues import CueRules
from whisperlive_hybrid.jobs.transcript import Transcript


class WrongUsage(Exception):
    """Results cannot go where they are wanted; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the result of each file goes, None being standard output, and in which of jobs.formats.FORMATS."""

    format: str
    outputs: Mapping[str, Path | None]


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Form and place of the results."""
    parser.add_argument("--format", choices=tuple(formats.FORMATS), help="[by the name given to -o, else txt]")
    parser.add_argument("-o", "--output", metavar="OUT", help="file, or folder for several; - is standard output")
    parser.add_argument("--force", action="store_true", help="overwrite files")
    parser.add_argument("--skip-existing", action="store_true", help="leave out files whose result is there")


def plan_of(args: argparse.Namespace, names: Sequence[str]) -> Plan:
    """Where the results of `names` go: files, addresses, or - for standard input. Raises WrongUsage."""
    format_ = args.format or _format_of(args.output)
    several = len(names) > 1
    to_folder = args.output is not None and (args.output.endswith(os.sep) or Path(args.output).is_dir())
    if several and not to_folder and (args.output not in (None, "-") or format_ in ("srt", "vtt")):
        raise WrongUsage(f"Several files as {format_} need a folder for the results. Try: -o FOLDER/")
    outputs = {name: _output(name, args.output, to_folder, format_) for name in names}
    if several and len(set(outputs.values()) - {None}) < len(outputs) and to_folder:
        raise WrongUsage("Two of the files have the same name: their results would overwrite each other.")
    wanted = {n: o for n, o in outputs.items() if not (args.skip_existing and o is not None and o.exists())}
    there = [str(o) for o in wanted.values() if o is not None and o.exists()]
    if there and not args.force:
        raise WrongUsage(f"{there[0]}: exists already. Try: --force or --skip-existing")
    return Plan(format_, wanted)


def is_url(name: str) -> bool:
    """Whether a file is named by an address."""
    return name.startswith(("http://", "https://"))


def shown_name(name: str) -> str:
    """A file's name as progress is shown under it."""
    return "standard input" if name == "-" else name if is_url(name) else Path(name).name


@dataclass(slots=True)
class Results:
    """Writes results as they come, tells of what failed, and knows the exit code at the end."""

    plan: Plan
    progress: ProgressLine
    quiet: bool = False
    fail_empty: bool = False
    failed: dict[str, int] = field(default_factory=dict)
    """File and the exit code that its failure alone would lead to."""

    def done(self, name: str, transcript: Transcript) -> None:
        """Write a result. Raises OSError."""
        self.progress.clear()
        write(rendered(transcript, self.plan.format), self.plan.outputs[name])
        if not transcript.text:
            if not self.quiet:
                print(f"{name}: no speech found.", file=sys.stderr)
            if self.fail_empty:
                self.failed[name] = exit_codes.FAILURE

    def fail(self, name: str, message: str, code: int) -> None:
        """A file has no result."""
        self.progress.clear()
        print(f"{name}: {message}", file=sys.stderr)
        self.failed[name] = code

    def exit_code(self) -> int:
        """Of all of it; says how many failed."""
        failed, n_all = self.failed, len(self.plan.outputs)
        if failed and n_all > 1:
            in_order = [name for name in self.plan.outputs if name in failed]
            print(f"{len(failed)} of {n_all} files failed: {', '.join(in_order)}", file=sys.stderr)
            if len(failed) < n_all:
                return exit_codes.SOME_FAILED
        return next(iter(failed.values()), exit_codes.OK)


def rendered(transcript: Transcript, format_: str) -> str:
    """The transcript in one of the formats; subtitles are cut to fit a screen where word times tell how."""
    with_words = any(segment.words for segment in transcript.segments)
    if with_words and format_ == "srt":
        return formats.to_srt(transcript, CueRules())
    if with_words and format_ == "vtt":
        return formats.to_vtt(transcript, CueRules())
    return formats.render(transcript, format_)


def write(text: str, output: Path | None) -> None:
    """Write a result, a file in one step. Raises OSError."""
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    # Never half a file under the final name.
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=output.parent, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o666 & ~_umask())
    os.replace(file.name, output)


def _format_of(output: str | None) -> str:
    ending = Path(output or "").suffix.removeprefix(".").lower()
    return ending if ending in formats.FORMATS else "txt"


def _output(name: str, output: str | None, to_folder: bool, format_: str) -> Path | None:
    """Where the result of a file goes; None is standard output."""
    if output in (None, "-"):
        return None
    assert output is not None
    return Path(output) / f"{_stem(name)}.{format_}" if to_folder else Path(output)


def _stem(name: str) -> str:
    if name == "-":
        return "standard-input"
    if is_url(name):
        address = urlsplit(name)
        return PurePosixPath(unquote(address.path)).stem or address.hostname or "audio"
    return Path(name).stem


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
