from __future__ import annotations

import asyncio
import gc
import io
import os
import random
import resource
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.support.encoded_audio import melody, mux, pyav_samples, similarity
from whisperlive_hybrid.audio import file_process, files
from whisperlive_hybrid.audio.files import DecodeLimits, FileInfo, decode_file
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.errors import HybridError, NotFound, TooLarge, UndecodableAudio

SIGNAL = melody(1.5)
FILES = {
    "a.wav": ("wav", "pcm_s16le", {}),
    "float.wav": ("wav", "pcm_f32le", {}),
    "law.wav": ("wav", "pcm_mulaw", {}),
    "a.mp3": ("mp3", "libmp3lame", {}),
    "a.flac": ("flac", "flac", {}),
    "a.m4a": ("ipod", "aac", {}),
    "a.mp4": ("mp4", "aac", {}),
    "a.aac": ("adts", "aac", {}),
    "a.ogg": ("ogg", "libopus", {"options": {"page_duration": "100000"}}),
    "a.opus": ("opus", "libopus", {}),
    "a.webm": ("webm", "libopus", {}),
    "a.mpeg": ("mpeg", "mp2", {}),
    "a.mpga": ("mp3", "libmp3lame", {}),
    "a.ts": ("mpegts", "aac", {}),
    "a.aiff": ("aiff", "pcm_s16be", {}),
    "a.caf": ("caf", "pcm_s16le", {}),
    "a.au": ("au", "pcm_s16be", {}),
    "a.amr": ("amr", "libopencore_amrnb", {"rate": 8_000}),
    "alac.m4a": ("ipod", "alac", {}),
    "stereo.flac": ("flac", "flac", {"channels": 2}),
    "surround.wav": ("wav", "pcm_s16le", {"channels": 6}),
    "low.wav": ("wav", "pcm_s16le", {"rate": 8_000}),
    "high.wav": ("wav", "pcm_s16le", {"rate": 192_000}),
}


def make(name: str) -> bytes:
    container, codec, more = FILES[name]
    return mux(melody(1.5, more.get("rate", 48_000)), container, codec, **more)


async def collect(blocks: AsyncIterator[Samples]) -> Samples:
    parts = [block async for block in blocks]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


async def decode_bytes(tmp_path: Path, data: bytes, limits: DecodeLimits | None = None) -> Samples:
    path = tmp_path / "upload"
    path.write_bytes(data)
    return await collect(decode_file(path, limits))


async def code_of(tmp_path: Path, data: bytes, limits: DecodeLimits | None = None) -> str:
    with pytest.raises(UndecodableAudio) as caught:
        await decode_bytes(tmp_path, data, limits)
    assert caught.value.param == "file"
    return caught.value.code


@pytest.mark.parametrize("name", FILES)
async def test_formats(name: str, tmp_path: Path) -> None:
    data = make(name)
    samples = await decode_bytes(tmp_path, data)
    expected = pyav_samples(data)
    assert samples.dtype == np.float32
    assert abs(len(samples) - 24_000) <= 1200  # encoders that know no end pad with up to two frames
    assert len(samples) == len(expected)
    assert similarity(samples, np.clip(expected, -1, 1)) > 0.999


async def test_what_the_file_says_of_itself_is_reported_first(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(make("stereo.flac"))
    seen: list[FileInfo] = []
    async for _ in decode_file(path, on_info=seen.append):
        assert len(seen) == 1
    assert seen == [FileInfo("flac", "flac", 48_000, 2, 1.5)]


async def test_blocks_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(mux(melody(12.0, 16_000), "wav", "pcm_s16le", rate=16_000))
    lengths = [len(block) async for block in decode_file(path)]
    assert lengths == [80_000, 80_000, 32_000]


async def test_the_video_of_a_file_is_ignored_and_its_sound_decoded(tmp_path: Path) -> None:
    data = video_file(sound=True)
    assert len(await decode_bytes(tmp_path, data)) == len(pyav_samples(data)) > 8_000


def video_file(*, sound: bool) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as output:
        video = output.add_stream("mpeg4", rate=10, width=64, height=64)
        audio = output.add_stream("aac", rate=48_000) if sound else None
        for number in range(10):
            picture = av.VideoFrame.from_ndarray(
                np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8), format="rgb24"
            )
            for packet in video.encode(picture):
                output.mux(packet)
        for packet in video.encode(None):
            output.mux(packet)
        if audio is not None:
            frame = av.AudioFrame.from_ndarray(melody(1.0)[np.newaxis], format="fltp", layout="mono")
            frame.sample_rate = 48_000
            for packet in [*audio.encode(frame), *audio.encode(None)]:
                output.mux(packet)
    return out.getvalue()


# --- files that are not what they should be -----------------------------------------------------------------------


async def test_bad_files_say_what_is_wrong(tmp_path: Path) -> None:
    noise = random.Random(5).randbytes(20_000)
    assert await code_of(tmp_path, b"") == "empty_file"
    assert await code_of(tmp_path, b"hello, this is text\n" * 200) == "not_audio"
    assert await code_of(tmp_path, b"\x89PNG\r\n\x1a\n" + noise) == "not_audio"
    assert await code_of(tmp_path, b"%PDF-1.7\n" + noise) == "not_audio"
    assert await code_of(tmp_path, video_file(sound=False)) == "no_audio_stream"
    wav = make("a.wav")
    assert await code_of(tmp_path, wav[: wav.index(b"data") + 8]) == "empty_audio"
    assert await code_of(tmp_path, wav[:30]) == "truncated"
    assert await code_of(tmp_path, make("a.m4a")[:3000]) == "truncated"
    assert await code_of(tmp_path, make("a.flac")[:20]) == "truncated"
    assert await code_of(tmp_path, mux(melody(0.5), "wav", "adpcm_yamaha")) == "unsupported_codec"


async def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await collect(decode_file(tmp_path / "nothing"))
    with pytest.raises(UndecodableAudio) as caught:
        await collect(decode_file(tmp_path))
    assert caught.value.code == "unreadable_file"


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.flac", "a.ogg", "a.webm", "a.aac", "a.mpeg"])
async def test_a_file_that_breaks_off_gives_what_is_there(name: str, tmp_path: Path) -> None:
    data = make(name)
    whole = await decode_bytes(tmp_path, data)
    part = await decode_bytes(tmp_path, data[: len(data) // 2])
    assert 0.3 * len(whole) < len(part) < 0.7 * len(whole)


async def test_too_many_channels_and_odd_rates_are_refused(tmp_path: Path) -> None:
    def wav(channels: int, rate: int) -> bytes:
        body = bytes(channels * 2 * 4000)
        head = struct.pack(
            "<4sI4s4sIHHIIHH",
            b"RIFF",
            36 + len(body),
            b"WAVE",
            b"fmt ",
            16,
            1,
            channels,
            rate,
            rate * channels * 2,
            channels * 2,
            16,
        )
        return head + b"data" + struct.pack("<I", len(body)) + body

    assert await code_of(tmp_path, wav(9, 16_000)) == "unsupported_channels"
    assert await code_of(tmp_path, wav(1, 1_000)) == "unsupported_rate"
    assert await code_of(tmp_path, wav(1, 400_000)) == "unsupported_rate"
    for channels in range(1, 9):
        assert len(await decode_bytes(tmp_path, wav(channels, 16_000))) == 4000
    assert await code_of(tmp_path, wav(3, 16_000), DecodeLimits(max_channels=2)) == "unsupported_channels"


@pytest.mark.parametrize("seed", range(12))
async def test_noise_and_damage_raise_nothing_but_our_errors(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    data = bytearray(rng.randbytes(30_000) if seed < 3 else make(rng.choice(sorted(FILES))))
    for _ in range(rng.choice((5, 100, 1000))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    try:
        assert len(await decode_bytes(tmp_path, bytes(data))) < 60 * 16_000
    except HybridError as e:
        assert e.message


# --- files that attack --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ffconcat", "ffconcat by path", "hls", "hls by url", "sdp", "subtitle list"])
async def test_a_file_cannot_name_another(kind: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim.wav"
    victim.write_bytes(make("a.wav"))
    data = {
        "ffconcat": "ffconcat version 1.0\nfile victim.wav\n",
        "ffconcat by path": f"ffconcat version 1.0\nfile {victim}\n",
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nvictim.wav\n#EXT-X-ENDLIST\n",
        "hls by url": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{victim}\n#EXT-X-ENDLIST\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        "subtitle list": "WEBVTT\n\n00:00.000 --> 00:10.000\nvictim.wav\n",
    }[kind]
    assert await code_of(tmp_path, data.encode()) == "not_audio"


def crc(data: bytes, polynomial: int, bits: int) -> int:
    """FLAC's checksums: not reflected, start 0."""
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = ((value << 1) ^ polynomial if value & top else value << 1) & mask
    return value


def silence_flac(hours: float) -> bytes:
    """Hours of silence in a few kB: FLAC says "65 535 times the same value" in 17 bytes (RFC 9639)."""
    block = 65_535
    info = struct.pack(">HH", block, block) + bytes(6) + (16_000 << 44 | 15 << 36).to_bytes(8, "big") + bytes(16)
    out = bytearray(b"fLaC\x80" + len(info).to_bytes(3, "big") + info)
    for number in range(round(hours * 3600 * 16_000 / block)):
        coded = chr(number).encode("utf-8", "surrogatepass")
        head = b"\xff\xf8\x75\x08" + coded + struct.pack(">H", block - 1)
        frame = head + bytes([crc(head, 0x07, 8)]) + b"\0\0\0"
        out += frame + struct.pack(">H", crc(frame, 0x8005, 16))
    return bytes(out)


async def test_ten_hours_of_silence_end_at_the_limit(tmp_path: Path) -> None:
    data = silence_flac(10)
    assert len(data) < 2_000_000
    path = tmp_path / "bomb"
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, n = time.monotonic(), 0
    with pytest.raises(TooLarge) as caught:
        async for block in decode_file(path):
            n += len(block)
    assert caught.value.code == "too_long"
    assert caught.value.limit == 14_400
    assert n <= 14_400 * 16_000
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB; 4 h are 900 MB
    assert children() == []


async def test_a_file_that_honestly_says_it_is_too_long_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(mux(melody(30.0, 8_000), "wav", "pcm_s16le", rate=8_000))
    n = 0
    with pytest.raises(TooLarge):
        async for block in decode_file(path, DecodeLimits(max_audio_s=10)):
            n += len(block)
    assert n == 0


async def test_a_header_that_lies_about_the_length_is_not_believed(tmp_path: Path) -> None:
    """Programs that write WAV into a pipe leave the largest size there is in the header."""
    data = bytearray(make("low.wav"))
    data[4:8] = data[data.index(b"data") + 4 : data.index(b"data") + 8] = b"\xff\xff\xff\xff"
    assert len(await decode_bytes(tmp_path, bytes(data), DecodeLimits(max_audio_s=10))) == 24_000


async def test_the_processor_limit_holds(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(silence_flac(30))
    with pytest.raises(UndecodableAudio) as caught:
        async for _ in decode_file(path, DecodeLimits(max_audio_s=1e9, cpu_s=1)):
            pass
    assert caught.value.code == "decode_timeout"


async def test_the_wall_clock_limit_holds(tmp_path: Path) -> None:
    long = mux(melody(60.0, 16_000), "flac", "flac", rate=16_000)
    assert await code_of(tmp_path, long, DecodeLimits(wall_s=0.001)) == "decode_timeout"
    assert children() == []


async def test_the_time_the_reader_takes_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(mux(melody(12.0, 16_000), "wav", "pcm_s16le", rate=16_000))
    n = 0
    async for block in decode_file(path, DecodeLimits(wall_s=4.0)):
        n += len(block)
        await asyncio.sleep(1.4)
    assert n == 12 * 16_000


async def test_the_memory_limit_holds(tmp_path: Path) -> None:
    with pytest.raises(HybridError) as caught:
        await decode_bytes(tmp_path, make("a.wav"), DecodeLimits(memory_bytes=60 << 20))
    assert caught.value.code in ("decoder_unavailable", "decode_memory", "decoder_crashed", "decode_timeout")


IN_THE_CHILD = """
import os, socket, subprocess, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
import file_process, av
file_process.bind_to_parent(os.getppid())
file_process.restrain(10, 1 << 30)
file_process.rehearse(av)
file_process.close_doors()
for name, attempt in {
    "read": lambda: open("/etc/passwd"),
    "write": lambda: open("/tmp/written", "w"),
    "connect": lambda: socket.socket(),
    "run": lambda: subprocess.run(["/bin/true"]),
    "pipe": os.pipe,
}.items():
    try:
        attempt()
    except OSError:
        continue
    print("could", name)
print("nothing else")
"""


def test_the_child_can_open_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_CHILD, file_process.__file__],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout == "nothing else\n", done.stdout + done.stderr


def test_the_child_loads_no_numpy() -> None:
    code = "import sys; import file_process, av; file_process.rehearse(av); print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(file_process.__file__).parent,
    )
    assert done.stdout.strip() == "False"


# --- nothing stays behind -----------------------------------------------------------------------------------------


def children() -> list[int]:
    """Child processes of this one, zombies included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    path = tmp_path / "long.wav"
    path.write_bytes(mux(melody(60.0, 16_000), "wav", "pcm_s16le", rate=16_000))
    return path


async def test_closing_the_iterator_ends_the_child(long_file: Path) -> None:
    before = descriptors()
    blocks = decode_file(long_file)
    assert len(await anext(blocks)) == 80_000
    assert len(children()) == 1
    await blocks.aclose()
    assert children() == []
    assert descriptors() == before


async def test_cancelling_the_reader_ends_the_child(long_file: Path) -> None:
    before = descriptors()
    started = asyncio.Event()

    async def read() -> None:
        async for _ in decode_file(long_file):
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(200):  # an iterator that is dropped is closed by the loop a little later
        gc.collect()
        if not children():
            break
        await asyncio.sleep(0.05)
    assert children() == []
    assert descriptors() == before


async def test_cancelling_at_any_moment_leaves_nothing(long_file: Path) -> None:
    before = descriptors()
    for delay_ms in (0, 1, 2, 5, 10, 20, 50, 100, 150):
        task = asyncio.create_task(collect(decode_file(long_file)))
        await asyncio.sleep(delay_ms / 1000)
        task.cancel()
        await asyncio.wait([task])
    for _ in range(200):
        gc.collect()
        if not children() and descriptors() == before:
            break
        await asyncio.sleep(0.05)
    assert children() == []
    assert descriptors() == before


async def test_many_files_at_once_and_in_a_row_leave_nothing(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(make("a.wav"))
    bad.write_bytes(b"nothing" * 100)
    before = descriptors()
    for _ in range(2):
        results = await asyncio.gather(
            *(collect(decode_file(path)) for path in (good, bad) * 3), return_exceptions=True
        )
        assert [isinstance(r, UndecodableAudio) for r in results] == [False, True] * 3
    assert children() == []
    assert descriptors() == before


PARENT_THAT_IS_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from typing import Any
from whisperlive_hybrid.audio.files import decode_file

async def main():
    async for _ in decode_file(Path(sys.argv[1])):
        print(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()[0], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_the_child_dies_with_its_parent(long_file: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PARENT_THAT_IS_KILLED, str(long_file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9
    stat = Path(f"/proc/{int(done.stdout)}/stat")
    for _ in range(100):
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return  # dead, and waiting for whoever adopts orphans here
        except OSError:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the child outlived its parent")


async def test_finished_children_are_reaped_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x"
    path.write_bytes(make("low.wav"))
    for _ in range(8):
        await collect(decode_file(path))
        path.write_bytes(b"not audio")
        with pytest.raises(UndecodableAudio):
            await collect(decode_file(path))
        path.write_bytes(make("low.wav"))
    assert caplog.messages == []


async def test_encrypted_audio_is_named(tmp_path: Path) -> None:
    for tag in (b"enca", b"drms"):
        assert await code_of(tmp_path, make("a.m4a").replace(b"mp4a", tag, 1)) == "encrypted"


async def test_the_loop_goes_on_while_a_file_is_decoded(long_file: Path) -> None:
    worst, running = 0.0, True

    async def watch() -> None:
        nonlocal worst
        while running:
            began = time.monotonic()
            await asyncio.sleep(0.001)
            worst = max(worst, time.monotonic() - began)

    watcher = asyncio.create_task(watch())
    await collect(decode_file(long_file))
    running = False
    await watcher
    assert worst < 1.0


async def test_a_decoder_that_crashes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = tmp_path / "crash.py"
    crash.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(files.file_process, "__file__", str(crash))
    assert await code_of(tmp_path, make("a.wav")) == "decoder_crashed"


async def test_a_child_that_writes_nonsense_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    liar = tmp_path / "liar.py"
    liar.write_text("import os\nos.write(1, b'\\xff' * 10000)\n")
    monkeypatch.setattr(files.file_process, "__file__", str(liar))
    assert await code_of(tmp_path, make("a.wav")) == "decoder_crashed"


class _Exiting:
    """A child that says it is done, and exits when the test says so."""

    returncode = 0

    def __init__(self) -> None:
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        return await self.exited

    def close(self) -> None:
        """As a transport."""


@pytest.mark.parametrize("n_steps", range(5))
async def test_a_cancel_that_comes_as_the_child_exits_is_not_lost(n_steps: int) -> None:
    """Else a cancelled file would be transcribed to its end, with nobody there to want it."""
    process: Any = _Exiting()
    child = files._Child(process, asyncio.StreamReader(), process, 60.0)
    child._finished = True

    async def use() -> None:
        await child.end()
        await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    process.exited.set_result(0)
    for _ in range(n_steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=2)
    assert done, "the cancel was lost"
    assert task.cancelled()
