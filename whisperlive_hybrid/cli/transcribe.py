"""`whisperlive-hybrid transcribe`: files into text, in this process or on a server (`--server`)."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.in_process import file_pipeline
from whisperlive_hybrid.cli.interrupts import cancel_on_interrupt
from whisperlive_hybrid.cli.on_server import transcribe_on_server
from whisperlive_hybrid.cli.progress import ProgressLine
from whisperlive_hybrid.cli.remote_options import speakers_of
from whisperlive_hybrid.cli.results import Results, WrongUsage, add_output_flags, is_url, plan_of, shown_name
from whisperlive_hybrid.cli.settings_flags import add_settings_flags, names_of_groups, settings_from
from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.engine.window import DecodeOptions
from whisperlive_hybrid.errors import HybridError, NotFound
from whisperlive_hybrid.jobs.pipeline import Pipeline
from whisperlive_hybrid.jobs.transcript import FileOptions, Progress, Transcript
from whisperlive_hybrid.ops.logs import set_up_logging

EXAMPLES = """\
examples:
  whisperlive-hybrid transcribe talk.mp3 --model small --language en -o talk.srt
  whisperlive-hybrid transcribe *.m4a --format vtt -o subtitles/
  whisperlive-hybrid transcribe talk.mp3 --server http://localhost:8080 --diarize
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, what is wanted of them, where the result goes, and who does it."""
    parser.usage = "%(prog)s FILE… [options]"
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio or video; - is standard input")
    add_output_flags(parser)
    parser.add_argument("--task", choices=("transcribe", "translate"), default="transcribe", help="into English")
    parser.add_argument("--word-timestamps", action="store_true", help="in json; in srt and vtt shorter cues")
    parser.add_argument("--prompt", help="text that primes the model: names, spelling")
    parser.add_argument("--hotwords", help="words to expect")
    parser.add_argument("--diarize", action="store_true", help="tell who speaks")
    parser.add_argument("--speakers", metavar="N", help="how many there are, or 2-4; implies --diarize")
    parser.add_argument("--fail-empty", action="store_true", help="a file without speech is a failure")
    parser.add_argument("--progress", choices=("bar", "plain", "json"), help="[bar on a terminal, else nothing]")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no warnings")
    remote = parser.add_argument_group("on a server")
    remote.add_argument("--server", metavar="URL", help="a running server does it; FILE may be an address, too")
    remote.add_argument("--priority", help="low, normal, high, or -10 to 10")
    remote.add_argument("--detach", action="store_true", help="print the job's id and leave; see: jobs --help")
    remote.add_argument("--delete", action="store_true", help="delete file and result there once it is here")
    add_settings_flags(
        parser,
        names_of_groups("Models", "Decoding", "Speakers")
        | {"vad_threshold", "vad_min_speech_ms", "file_window_s", "max_audio_s", "log_level", "api_key"},
    )


def run(args: argparse.Namespace) -> int:
    """Transcribe all files."""
    settings = settings_from(args)
    set_up_logging("error" if args.quiet else max(settings.log_level, "warning", key=_severity), "text")
    try:
        _refuse_what_needs_a_server(args)
        plan = plan_of(args, args.files)
    except WrongUsage as wrong:
        print(wrong, file=sys.stderr)
        return exit_codes.USAGE
    progress = ProgressLine(sys.stderr, "none" if args.quiet else args.progress)
    results = Results(plan, progress, quiet=args.quiet, fail_empty=args.fail_empty)
    with _input_files(plan.outputs) as paths:
        if args.server is not None:
            return asyncio.run(transcribe_on_server(args, settings, results, paths))
        return asyncio.run(_transcribe_here(settings, _options(args, settings), results, paths))


async def _transcribe_here(
    settings: Settings, options: FileOptions, results: Results, paths: Mapping[str, Path]
) -> int:
    """Every file in turn: within a file windows are batched already. A file that fails does not stop the others."""
    interrupted = cancel_on_interrupt()
    try:
        async with file_pipeline(settings) as (_, pipeline):
            for name, path in paths.items():
                try:
                    results.done(name, await _transcribe(name, path, pipeline, options, results.progress))
                except (HybridError, OSError) as error:
                    message = exit_codes.line_of(error) if isinstance(error, HybridError) else str(error)
                    results.fail(name, message, _code_of(error))
    except asyncio.CancelledError:
        results.progress.clear()
        if not interrupted:
            raise
        print("Interrupted.", file=sys.stderr)
        return exit_codes.INTERRUPTED
    return results.exit_code()


async def _transcribe(
    name: str, path: Path, pipeline: Pipeline, options: FileOptions, progress: ProgressLine
) -> Transcript:
    progress.start(shown_name(name), time.monotonic())

    def on_progress(now_at: Progress) -> None:
        progress.update(now_at, time.monotonic())

    return await pipeline.transcribe(path, options, on_progress=on_progress)


@contextmanager
def _input_files(names: Iterable[str]) -> Iterator[dict[str, Path]]:
    """Where each file is; standard input is copied to a temporary file, because decoders seek and uploads repeat."""
    paths = {name: Path(name) for name in names}
    if "-" not in paths:
        yield paths
        return
    with tempfile.NamedTemporaryFile(prefix="whisperlive-hybrid-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield {**paths, "-": Path(file.name)}


def _refuse_what_needs_a_server(args: argparse.Namespace) -> None:
    if args.server is not None:
        return
    given = [name for name in ("priority", "detach", "delete") if getattr(args, name)]
    addresses = [name for name in args.files if is_url(name)]
    if given or addresses:
        raise WrongUsage(f"{addresses[0] if addresses else '--' + given[0]}: only with --server URL.")


def _options(args: argparse.Namespace, settings: Settings) -> FileOptions:
    decode = DecodeOptions(
        language=parse_language(settings.default_language),
        task=args.task,
        beam_size=settings.beam_size,
        prompt=args.prompt,
        hotwords=args.hotwords,
        word_times=args.word_timestamps,
    )
    return FileOptions(decode=decode, speech=settings.file_speech_options(), diarization=speakers_of(args))


def _code_of(error: Exception) -> int:
    if isinstance(error, NotFound) and error.kind == "file":
        return exit_codes.BAD_AUDIO
    return exit_codes.of(error) if isinstance(error, HybridError) else exit_codes.FAILURE


def _severity(level: str) -> int:
    return ("debug", "info", "warning", "error").index(level)
