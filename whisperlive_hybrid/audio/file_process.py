"""The child that decodes one file: run as a script, it knows nothing but PyAV and the standard library.

    python -I -S file_process.py SITE_PACKAGES PARENT_PID CPU_S MEMORY_BYTES MAX_CHANNELS BLOCK_SAMPLES

reads the file from descriptor 0 and writes messages to descriptor 1: one letter, the length of the payload as a 32-bit
little-endian number, the payload.

    i   container, codec, sample rate, channels, declared duration in seconds or nothing; text, one per line
    s   samples: 16-bit little-endian PCM, 16 kHz mono
    e   error: code and message; text, one per line; the last message
    z   the end; the last message

Media decoders are the part of a speech server that is attacked. So before FFmpeg sees a byte this process gives up
everything it will not need: it can open no further file or socket, start no process, write no file, gain no privilege,
and it dies with its parent. FFmpeg is told which containers it may recognize and which decoders it may try.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import resource
import struct
import sys
from collections.abc import Iterator
from typing import Any

SAMPLE_RATE = 16_000
MIN_RATE, MAX_RATE = 4_000, 192_000
CONTAINERS = "wav,w64,mp3,flac,ogg,matroska,webm,mov,aac,aiff,caf,amr,amrnb,amrwb,au,asf,mpegts,mpeg"
_DECODER_NAMES = """
    aac aac_latm ac3 adpcm_ima_qt adpcm_ima_wav adpcm_ms alac amrnb amrwb eac3 flac gsm gsm_ms libopencore_amrnb
    libopencore_amrwb libopus mp1 mp1float mp2 mp2float mp3 mp3float opus pcm_alaw pcm_f32be pcm_f32le pcm_f64be
    pcm_f64le pcm_mulaw pcm_s16be pcm_s16be_planar pcm_s16le pcm_s16le_planar pcm_s24be pcm_s24le pcm_s24le_planar
    pcm_s32be pcm_s32le pcm_s32le_planar pcm_s64be pcm_s64le pcm_s8 pcm_s8_planar pcm_u16be pcm_u16le pcm_u24be
    pcm_u24le pcm_u32be pcm_u32le pcm_u8 speex vorbis wmalossless wmapro wmav1 wmav2 wmavoice
"""
DECODERS = frozenset(_DECODER_NAMES.split())
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _SIGKILL = 1, 38, 9
_NICENESS = 5


class Failure(Exception):
    """The file cannot be decoded: `code` for machines, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def bind_to_parent(parent_pid: int) -> None:
    """Die when the parent dies, and never gain a privilege (Linux; elsewhere the broken pipe ends this process)."""
    with contextlib.suppress(Exception):
        import ctypes

        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def limit(name: str, value: int) -> None:
    """Set a resource limit for good, where the system has it."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))


def restrain(cpu_s: int, memory_bytes: int) -> None:
    """Limits that hold while PyAV is imported."""
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    limit("RLIMIT_CORE", 0)
    limit("RLIMIT_FSIZE", 0)
    limit("RLIMIT_CPU", cpu_s)
    limit("RLIMIT_AS", memory_bytes)


def rehearse(av: Any) -> None:
    """Decode a moment of silence, so that everything PyAV imports on first use is loaded before the doors close."""
    for name in ("audio.stream", "subtitles.stream", "subtitles.codeccontext", "video.stream", "video.codeccontext"):
        importlib.import_module(f"av.{name}")
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 356, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 320
    )
    with av.open(io.BytesIO(header + bytes(320))) as container:
        for _ in pcm_pieces(av, frames(av, container, container.streams.audio[0]), 1):
            pass


def close_doors() -> None:
    """From here on nothing can be opened or started: only the descriptors 0, 1 and 2 are left."""
    limit("RLIMIT_NOFILE", 3)
    limit("RLIMIT_NPROC", 0)


def send(kind: bytes, payload: bytes) -> None:
    """Write one message to the parent; end quietly when it is gone."""
    data = memoryview(kind + struct.pack("<I", len(payload)) + payload)
    while data:
        try:
            data = data[os.write(1, data) :]
        except BrokenPipeError:
            os._exit(0)


def open_container(av: Any) -> Any:
    """The container in descriptor 0. FFmpeg gets no protocol at all: it reads through this process only."""
    file = os.fdopen(0, "rb", closefd=False)
    options = {
        "format_whitelist": CONTAINERS,
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(sorted(DECODERS)),
    }
    try:
        return av.open(file, options=options, metadata_errors="ignore")
    except (MemoryError, av.error.MemoryError) as e:
        raise Failure("decode_memory", "the file needs more memory to decode than is allowed") from e
    except (av.error.FFmpegError, ValueError) as e:
        raise unreadable(os.pread(0, 64, 0)) from e


def unreadable(head: bytes) -> Failure:
    """Why no container was recognized, as far as the first bytes tell."""
    known = (
        (head[4:8] == b"ftyp", "an MP4"),
        (head.startswith(b"OggS"), "an Ogg"),
        (head.startswith(b"\x1a\x45\xdf\xa3"), "a WebM"),
        (head.startswith(b"fLaC"), "a FLAC"),
        (head.startswith(b"RIFF") and head[8:12] == b"WAVE", "a WAV"),
        (head.startswith(b"ID3"), "an MP3"),
    )
    for matches, name in known:
        if matches:
            return Failure("truncated", f"{name} file that is cut off or damaged: its header cannot be read")
    return Failure("not_audio", "the file is not audio in a format that is accepted")


def choose_stream(container: Any) -> Any:
    """The audio stream to decode. Raises Failure when there is none, or none with an allowed decoder."""
    streams = list(container.streams.audio)
    if not streams:
        raise Failure("no_audio_stream", "the file has no audio")
    names = [stream.codec_context.name if stream.codec_context else "an unknown codec" for stream in streams]
    allowed = [stream for stream, name in zip(streams, names, strict=True) if name in DECODERS]
    if not allowed:
        raise Failure("unsupported_codec", f"audio encoded as {', '.join(sorted(set(names)))} is not accepted")
    best = container.streams.best("audio")
    stream = best if best in allowed else allowed[0]
    if stream.codec_context.codec_tag in ("enca", "drms"):
        raise Failure("encrypted", "the audio is encrypted")
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    return stream


def check_shape(rate: int, channels: int, max_channels: int) -> None:
    """Raises Failure for a rate or number of channels that is not accepted."""
    if channels < 1 or channels > max_channels:
        raise Failure("unsupported_channels", f"{channels} channels are not accepted, at most {max_channels} are")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise Failure("unsupported_rate", f"a sample rate of {rate} Hz is not accepted")


def frames(av: Any, container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames. Damaged packets are passed over; a file that breaks off ends there.

    Raises Failure (not_audio) when damage prevails: noise is now and then taken for a compressed format.
    """
    good = bad = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            break
        if packet is None:
            break
        try:
            decoded = packet.decode()
        except av.error.MemoryError:
            raise
        except av.error.EOFError:
            break
        except (av.error.FFmpegError, ValueError):
            bad += 1
            continue
        good += bool(decoded)
        yield from decoded
    if bad > good:
        code = "undecodable_audio" if good else "not_audio"
        raise Failure(code, f"{bad} of {bad + good} packets of the file cannot be decoded")


def pcm_pieces(av: Any, frame_source: Iterator[Any], max_channels: int) -> Iterator[bytes]:
    """s16 16 kHz mono of the frames; a change of rate or layout on the way starts a new resampler."""
    resampler: Any = None
    shape = None
    for frame in frame_source:
        new_shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        if new_shape != shape:
            check_shape(frame.sample_rate, frame.layout.nb_channels, max_channels)
            if resampler is not None:
                yield from map(pcm_bytes, resampler.resample(None))
            resampler, shape = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE), new_shape
        frame.pts = None
        yield from map(pcm_bytes, resampler.resample(frame))
    if resampler is not None:
        yield from map(pcm_bytes, resampler.resample(None))


def pcm_bytes(frame: Any) -> bytes:
    """Samples of an s16 mono frame, without the padding behind them."""
    return bytes(memoryview(frame.planes[0])[: frame.samples * 2])


def describe(container: Any, stream: Any) -> bytes:
    """Payload of the `i` message."""
    context = stream.codec_context
    duration = container.duration
    if duration is None and stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base) * 1e6
    lines = (
        container.format.name,
        context.name,
        str(context.sample_rate),
        str(context.channels),
        "" if duration is None or duration <= 0 else f"{duration / 1e6:.6f}",
    )
    return "\n".join(lines).encode()


def decode(av: Any, max_channels: int, block_bytes: int) -> None:
    """Decode descriptor 0 and send its samples in blocks. Raises Failure."""
    container = open_container(av)
    stream = choose_stream(container)
    context = stream.codec_context
    if context.sample_rate:
        check_shape(context.sample_rate, context.channels, max_channels)
    send(b"i", describe(container, stream))
    block = bytearray()
    sent = False
    for piece in pcm_pieces(av, frames(av, container, stream), max_channels):
        block += piece
        while len(block) >= block_bytes:
            send(b"s", bytes(block[:block_bytes]))
            del block[:block_bytes]
            sent = True
    if not sent and not block:
        raise Failure("empty_audio", "the file has a header but no audio")
    send(b"s", bytes(block))
    send(b"z", b"")


def main(arguments: list[str]) -> None:
    """Entry point of the child."""
    site_packages = arguments[0]
    parent_pid, cpu_s, memory_bytes, max_channels, block_samples = map(int, arguments[1:])
    bind_to_parent(parent_pid)
    restrain(cpu_s, memory_bytes)
    try:
        sys.path.insert(0, site_packages)
        import av

        av.logging.set_level(None)
        rehearse(av)
    except Exception as e:
        send(b"e", f"decoder_unavailable\nPyAV cannot be loaded: {e}".encode())
        return
    close_doors()
    try:
        decode(av, max_channels, block_samples * 2)
    except Failure as e:
        send(b"e", f"{e.code}\n{e}".encode())
    except MemoryError:
        send(b"e", b"decode_memory\nthe file needs more memory to decode than is allowed")
    except Exception as e:
        send(b"e", f"undecodable_audio\nthe file cannot be decoded ({type(e).__name__})".encode())
    os._exit(0)  # FFmpeg's clean-up is not worth the time


if __name__ == "__main__":
    main(sys.argv[1:])
