"""`whisperlive-hybrid live`: captions in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from whisperlive_hybrid.cli import exit_codes
from whisperlive_hybrid.cli.audio_sources import file_audio, microphone, paced, standard_input
from whisperlive_hybrid.cli.captions import Captions
from whisperlive_hybrid.cli.settings_flags import add_settings_flags, settings_from
from whisperlive_hybrid.client.errors import ClientError, ServerUnreachable
from whisperlive_hybrid.client.live import LiveSession
from whisperlive_hybrid.config import Settings

EXAMPLES = """\
examples:
  whisperlive-hybrid live --language en              the microphone
  whisperlive-hybrid live --file talk.mp3            a file, as if it were spoken now
  arecord -q -t raw -f S16_LE -r 16000 | whisperlive-hybrid live --file -
"""

_STATUS_OF = {4401: exit_codes.REFUSED, 1008: exit_codes.REFUSED, 1013: exit_codes.REFUSED, 401: exit_codes.REFUSED}
_BAD_AUDIO_STATUS = 1003


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the audio comes from, where it goes, and how it is to be heard."""
    parser.usage = "%(prog)s [options]"
    parser.add_argument("--server", metavar="URL", help="address of the server [ws://localhost:PORT_WHISPERLIVE]")
    parser.add_argument(
        "--file", metavar="PATH", help="speak this file; - is 16-bit mono PCM of 16 kHz from standard input"
    )
    parser.add_argument("--fast", action="store_true", help="with --file: as fast as the server takes it")
    parser.add_argument("--input", metavar="DEVICE", help="microphone, by number or a part of its name")
    parser.add_argument("--language", help="language code or name; detected if not given")
    parser.add_argument("--task", choices=("transcribe", "translate"), default="transcribe")
    parser.add_argument("--model", help="a model of the server")
    parser.add_argument("--prompt", help="text that primes the model: names, spelling")
    parser.add_argument("--hotwords", help="words to expect")
    parser.add_argument("--jsonl", action="store_true", help="print every event as a line of JSON")
    add_settings_flags(parser, {"port_whisperlive", "api_key"})


def run(args: argparse.Namespace) -> int:
    """Captions until the file or the microphone ends. The first Ctrl+C ends the input, the second the program."""
    settings = settings_from(args)
    if args.file not in (None, "-") and not Path(args.file).is_file():
        print(f"{args.file}: no such file.", file=sys.stderr)
        return exit_codes.BAD_AUDIO
    try:
        return asyncio.run(_live(args, settings))
    except ServerUnreachable as error:
        print(f"{error.message} Try: whisperlive-hybrid serve", file=sys.stderr)
        return exit_codes.UNREACHABLE
    except ClientError as error:
        print(error.message, file=sys.stderr)
        if error.status == _BAD_AUDIO_STATUS:
            return exit_codes.BAD_AUDIO
        return _STATUS_OF.get(error.status or 0, exit_codes.FAILURE)


async def _live(args: argparse.Namespace, settings: Settings) -> int:
    # The session knows what is wrong with an option better than we do: everything asked for is passed on.
    asked = {n: getattr(args, n) for n in ("language", "model", "prompt", "hotwords") if getattr(args, n)}
    url = args.server or f"ws://localhost:{settings.port_whisperlive}"
    key = (settings.api_key or "").split(",")[0].strip() or None
    captions = Captions(sys.stdout, jsonl=args.jsonl)
    audio = _audio(args)
    async with LiveSession(url, api_key=key, codec="pcm_s16le", task=args.task, **asked) as session:
        speaking = asyncio.create_task(_speak(session, audio))
        _on_interrupt(speaking)
        try:
            async for event in session:
                if event["type"] == "error":
                    captions.clear()
                    print(event["message"], file=sys.stderr)
                elif event["type"] == "connection":
                    captions.clear()
                    print(f"Connection {event['state']}.", file=sys.stderr)
                captions.show(event)
                if speaking.done() and not speaking.cancelled():
                    speaking.result()  # a file that cannot be decoded ends it here
        finally:
            speaking.cancel()
            captions.clear()
    return exit_codes.OK


def _on_interrupt(speaking: asyncio.Task[None]) -> None:
    asked = 0

    def interrupt() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            os._exit(exit_codes.INTERRUPTED)
        speaking.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)


async def _speak(session: LiveSession, audio: AsyncGenerator[bytes]) -> None:
    """Send everything, then say so, also when interrupted: what was heard is wanted."""
    try:
        async with aclosing(audio):
            async for block in audio:
                await session.send(block)
    finally:
        await session.stop()


def _audio(args: argparse.Namespace) -> AsyncGenerator[bytes]:
    """16-bit mono PCM at 16 kHz, from where `args` says, paced as it says."""
    if args.file is None:
        return microphone(args.input, lambda: print("Listening. Ctrl+C ends.", file=sys.stderr))
    if args.file == "-":
        return standard_input()
    return file_audio(Path(args.file)) if args.fast else paced(file_audio(Path(args.file)))
