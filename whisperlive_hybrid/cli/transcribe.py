"""`whisperlive-hybrid transcribe`: files into text in this process, without a server."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.in_process import file_pipeline
from whisperlive_hybrid.cli.progress import ProgressLine
from whisperlive_hybrid.cli.settings_flags import add_settings_flags, names_of_groups, settings_from
from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.engine.window import DecodeOptions
from whisperlive_hybrid.errors import HybridError, NotFound
from whisperlive_hybrid.jobs import formats
from whisperlive_hybrid.jobs.cues import CueRules
from whisperlive_hybrid.jobs.pipeline import Pipeline
from whisperlive_hybrid.jobs.transcript import FileOptions, Progress, Transcript
from whisperlive_hybrid.ops.logs import set_up_logging

EXAMPLES = """\
examples:
  whisperlive-hybrid transcribe talk.mp3
  whisperlive-hybrid transcribe talk.mp3 --model small --language en -o talk.srt
  whisperlive-hybrid transcribe *.m4a --format vtt -o subtitles/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, what is wanted of them, and where the result goes."""
    parser.usage = "%(prog)s FILE… [options]"
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio or video; - is standard input")
    parser.add_argument("--format", choices=tuple(formats.FORMATS), help="[by the name given to -o, else txt]")
    parser.add_argument("-o", "--output", metavar="OUT", help="file, or folder for several; - is standard output")
    parser.add_argument("--task", choices=("transcribe", "translate"), default="transcribe", help="into English")
    parser.add_argument("--word-timestamps", action="store_true", help="in json; in srt and vtt shorter cues")
    parser.add_argument("--prompt", help="text that primes the model: names, spelling")
    parser.add_argument("--hotwords", help="words to expect")
    parser.add_argument("--force", action="store_true", help="overwrite files")
    parser.add_argument("--skip-existing", action="store_true", help="leave out files whose result is there")
    parser.add_argument("--fail-empty", action="store_true", help="a file without speech is a failure")
    parser.add_argument("--progress", choices=("bar", "plain", "json"), help="[bar on a terminal, else nothing]")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no warnings")
    add_settings_flags(
        parser,
        names_of_groups("Models", "Decoding")
        | {"vad_threshold", "vad_min_speech_ms", "file_window_s", "max_audio_s", "log_level"},
    )


def run(args: argparse.Namespace) -> int:
    """Transcribe one file after another."""
    settings = settings_from(args)
    set_up_logging("error" if args.quiet else max(settings.log_level, "warning", key=_severity), "text")
    format_ = args.format or _format_of(args.output)
    several = len(args.files) > 1
    to_folder = args.output is not None and (args.output.endswith(os.sep) or Path(args.output).is_dir())
    if several and not to_folder and (args.output not in (None, "-") or format_ in ("srt", "vtt")):
        print(f"Several files as {format_} need a folder for the results. Try: -o FOLDER/", file=sys.stderr)
        return exit_codes.USAGE
    options = _options(args, settings)
    outputs = {name: _output(name, args.output, to_folder, format_) for name in args.files}
    if several and len(set(outputs.values()) - {None}) < len(outputs) and to_folder:
        print("Two of the files have the same name: their results would overwrite each other.", file=sys.stderr)
        return exit_codes.USAGE
    wanted = {n: o for n, o in outputs.items() if not (args.skip_existing and o is not None and o.exists())}
    there = [str(o) for o in wanted.values() if o is not None and o.exists()]
    if there and not args.force:
        print(f"{there[0]}: exists already. Try: --force or --skip-existing", file=sys.stderr)
        return exit_codes.USAGE
    return asyncio.run(_transcribe_all(args, settings, options, wanted, format_))


async def _transcribe_all(
    args: argparse.Namespace, settings: Settings, options: FileOptions, outputs: dict[str, Path | None], format_: str
) -> int:
    """Every file in turn: within a file windows are batched already. A file that fails does not stop the others."""
    interrupted = _cancel_on_interrupt()
    progress = ProgressLine(sys.stderr, "none" if args.quiet else args.progress)
    failed: dict[str, int] = {}
    try:
        async with file_pipeline(settings) as (_, pipeline):
            for name, output in outputs.items():
                try:
                    transcript = await _transcribe(name, pipeline, options, progress)
                    _write(rendered(transcript, format_), output)
                except (HybridError, OSError) as error:
                    progress.clear()
                    message = exit_codes.line_of(error) if isinstance(error, HybridError) else str(error)
                    print(f"{name}: {message}", file=sys.stderr)
                    failed[name] = _code_of(error)
                    continue
                if not transcript.text:
                    if not args.quiet:
                        print(f"{name}: no speech found.", file=sys.stderr)
                    if args.fail_empty:
                        failed[name] = exit_codes.FAILURE
    except asyncio.CancelledError:
        progress.clear()
        if not interrupted:
            raise
        print("Interrupted.", file=sys.stderr)
        return exit_codes.INTERRUPTED
    if failed and len(outputs) > 1:
        print(f"{len(failed)} of {len(outputs)} files failed: {', '.join(failed)}", file=sys.stderr)
        if len(failed) < len(outputs):
            return exit_codes.SOME_FAILED
    return next(iter(failed.values()), exit_codes.OK)


async def _transcribe(name: str, pipeline: Pipeline, options: FileOptions, progress: ProgressLine) -> Transcript:
    progress.start(Path(name).name if name != "-" else "standard input", time.monotonic())

    def on_progress(now_at: Progress) -> None:
        progress.update(now_at, time.monotonic())

    with _path_of(name) as path:
        transcript = await pipeline.transcribe(path, options, on_progress=on_progress)
    progress.clear()
    return transcript


def rendered(transcript: Transcript, format_: str) -> str:
    """The transcript in one of the formats; subtitles are cut to fit a screen where word times tell how."""
    with_words = any(segment.words for segment in transcript.segments)
    if with_words and format_ == "srt":
        return formats.to_srt(transcript, CueRules())
    if with_words and format_ == "vtt":
        return formats.to_vtt(transcript, CueRules())
    return formats.render(transcript, format_)


@contextmanager
def _path_of(name: str) -> Iterator[Path]:
    """The file's path; standard input is copied to a temporary file, because decoders seek."""
    if name != "-":
        yield Path(name)
        return
    with tempfile.NamedTemporaryFile(prefix="whisperlive-hybrid-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name)


def _options(args: argparse.Namespace, settings: Settings) -> FileOptions:
    decode = DecodeOptions(
        language=parse_language(settings.default_language),
        task=args.task,
        beam_size=settings.beam_size,
        prompt=args.prompt,
        hotwords=args.hotwords,
        word_times=args.word_timestamps,
    )
    return FileOptions(decode=decode, speech=settings.file_speech_options())


def _format_of(output: str | None) -> str:
    ending = Path(output or "").suffix.removeprefix(".").lower()
    return ending if ending in formats.FORMATS else "txt"


def _output(name: str, output: str | None, to_folder: bool, format_: str) -> Path | None:
    """Where the result of a file goes; None is standard output."""
    if output in (None, "-"):
        return None
    assert output is not None
    if not to_folder:
        return Path(output)
    return Path(output) / f"{Path(name).stem if name != '-' else 'standard-input'}.{format_}"


def _write(text: str, output: Path | None) -> None:
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _code_of(error: Exception) -> int:
    if isinstance(error, NotFound) and error.kind == "file":
        return exit_codes.BAD_AUDIO
    return exit_codes.of(error) if isinstance(error, HybridError) else exit_codes.FAILURE


def _severity(level: str) -> int:
    return ("debug", "info", "warning", "error").index(level)


def _cancel_on_interrupt() -> list[int]:
    """The first Ctrl+C cancels what runs, the second ends the process. Returns a list that holds the first."""
    asked: list[int] = []
    task = asyncio.current_task()
    assert task is not None

    def interrupt() -> None:
        if asked:
            os._exit(exit_codes.INTERRUPTED)
        asked.append(signal.SIGINT)
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
    return asked
