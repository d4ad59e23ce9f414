"""The engine as the rooms above see it, with the real small model."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.clips import clips, words
from tests.support.engine import make_window
from whisperlive_hybrid.engine import engine as module
from whisperlive_hybrid.engine import memory, models
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.engine.whisper import WhisperBackend
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window
from whisperlive_hybrid.errors import BadInput, ModelUnavailable, NotFound, Refused, Superseded, WorkerLost

CLIP = clips("en")[0]
DIGITS = EngineOptions(model="digits", device="cpu")


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with Engine(DIGITS) as started:
        await started.ready()
        yield started


def window(lane: Lane = Lane.FINAL, owner: str = "test", model: str = "") -> Window:
    return Window(owner, lane, time.monotonic(), 0, CLIP.samples(), model, DecodeOptions(language="en"))


async def test_a_window_becomes_text(engine: Engine) -> None:
    one = window()
    hypothesis = await engine.transcribe(one)
    assert hypothesis.window_id == one.id
    assert words(hypothesis.text) == words(CLIP.text)
    assert hypothesis.timing.encode_s > 0
    assert engine.state == "ready"
    assert engine.note is None
    assert not any(engine.capacity().queued.values())


async def test_many_owners_share_batches(engine: Engine) -> None:
    results = await asyncio.gather(*(engine.transcribe(window(owner=f"{i}")) for i in range(9)))
    assert len({r.text for r in results}) == 1
    assert max(r.timing.batch_size for r in results) > 1


async def test_windows_sent_while_the_model_loads_wait_for_it() -> None:
    async with Engine(DIGITS) as engine:
        assert engine.state == "loading"
        assert words((await engine.transcribe(window())).text) == words(CLIP.text)
        assert engine.state == "ready"


async def test_a_link_to_a_model_is_known_while_it_loads(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(models.BUNDLED)
    async with Engine(dataclasses.replace(DIGITS, model=str(tmp_path / "current"))) as engine:
        assert (await engine.transcribe(window())).segments
        assert engine.default_model == "digits"


async def test_a_model_that_loads_and_does_not_run_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA failed with error out of memory")

    monkeypatch.setattr(WhisperBackend, "run", fail)
    async with Engine(DIGITS) as engine:
        with pytest.raises(ModelUnavailable, match="does not run on CPU"):
            await engine.ready()
        assert engine.state == "failed"


async def test_live_windows_do_not_wait_for_the_features_of_files(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[int, str] = {}

    def features(backend: WhisperBackend, samples: np.ndarray, n_frames: int, *_: object) -> np.ndarray:
        threads[len(samples)] = threading.current_thread().name.rsplit("_", 1)[0]
        return np.zeros((80, n_frames), np.float32)

    monkeypatch.setattr(WhisperBackend, "features", features)
    lanes = {Lane.FILE: 1.0, Lane.PARTIAL: 2.0, Lane.FINAL: 3.0}
    await asyncio.gather(*(engine.transcribe(make_window(lane=e, seconds=s, model="")) for e, s in lanes.items()))
    file, partial, final = (threads[round(s * 16000)] for s in lanes.values())
    assert file != partial == final


async def test_language_of_samples(engine: Engine) -> None:
    for language in ("en", "es", "de", "fr"):
        probabilities = await engine.detect_language(clips(language)[0].samples())
        assert probabilities[0][0] == language
        assert sum(p for _, p in probabilities) == pytest.approx(1.0, abs=0.01)


async def test_silence_is_no_text_and_no_audio_no_error(engine: Engine) -> None:
    for seconds in (0.0, 0.01):
        hypothesis = await engine.transcribe(make_window(seconds=seconds, model=""))
        assert hypothesis.segments == ()
        assert await engine.detect_language(np.zeros(round(seconds * 16000), np.float32)) == []


async def test_wrong_windows_are_refused_by_name(engine: Engine) -> None:
    with pytest.raises(BadInput) as error:
        await engine.transcribe(make_window(seconds=30.1, model=""))
    assert error.value.param == "samples"
    with pytest.raises(BadInput) as error:
        await engine.transcribe(make_window(model="", language="yue"))
    assert error.value.param == "language"
    with pytest.raises(NotFound) as missing:
        await engine.transcribe(make_window(model="/etc/passwd"))
    assert missing.value.kind == "model"
    assert (await engine.transcribe(window())).segments, "the next one works"


async def test_names_of_the_default_model(engine: Engine) -> None:
    for name in (None, "", "auto", "default", "digits", "whisper-1", "gpt-4o-transcribe"):
        assert engine.resolve(name) == "digits"
        assert await engine.load(name) == "digits"
    assert engine.resolve("turbo") == "large-v3-turbo"
    [info] = [m for m in engine.models() if m.default]
    assert (info.id, info.loaded, info.multilingual, info.path) == ("digits", True, True, models.BUNDLED)
    assert "whisper-1" in info.aliases


async def test_a_model_that_cannot_be_had_fails_the_start_and_says_why(tmp_path: Path) -> None:
    async with Engine(dataclasses.replace(DIGITS, model=str(tmp_path))) as engine:
        with pytest.raises(ModelUnavailable, match=r"no model\.bin"):
            await engine.ready()
        assert engine.state == "failed"
        with pytest.raises(ModelUnavailable):
            await engine.transcribe(window())


async def test_cancelling_the_caller_frees_the_engine(engine: Engine) -> None:
    tasks = [asyncio.create_task(engine.transcribe(window(Lane.FILE))) for _ in range(30)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not any(engine.capacity().queued.values())
    assert (await engine.transcribe(window())).segments


async def test_cancelling_an_owner_tells_whoever_waits(engine: Engine) -> None:
    mine = [asyncio.create_task(engine.transcribe(window(Lane.FILE, "me"))) for _ in range(20)]
    other = asyncio.create_task(engine.transcribe(window(Lane.FILE, "other")))
    await asyncio.sleep(0.05)
    engine.cancel("me")
    ended = await asyncio.gather(*mine, return_exceptions=True)
    assert any(isinstance(e, Superseded) for e in ended)
    assert (await other).segments


async def test_models_of_live_sessions_are_loaded_at_the_start_and_stay(tmp_path: Path) -> None:
    for name in ("one", "two/one", "three"):
        shutil.copytree(models.BUNDLED, tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "three")
    also = (str(tmp_path / "one"), str(tmp_path / "two" / "one"), str(tmp_path / "link"), "digits", "", "auto")
    async with Engine(dataclasses.replace(DIGITS, also=also, model_ttl_s=0.05, max_loaded=4)) as engine:
        early = asyncio.create_task(engine.transcribe(window(model=also[2])))
        await engine.ready()
        assert (await early).segments
        names = [engine.resolve(name) for name in also]
        assert names == ["one", str(tmp_path / "two" / "one"), "three", "digits", "digits", "digits"]
        await asyncio.sleep(0.2)
        assert {m.id for m in engine.models() if m.loaded} == set(names)
        for name in names:
            assert (await engine.transcribe(window(model=name))).segments
        with pytest.raises(NotFound):
            engine.resolve(str(tmp_path / "link" / ".." / "other"))


async def test_a_model_that_cannot_be_had_for_live_sessions_stops_the_start(tmp_path: Path) -> None:
    async with Engine(dataclasses.replace(DIGITS, also=(str(tmp_path / "nothing"),))) as engine:
        with pytest.raises(ModelUnavailable, match=r"no such folder .*LIVE_MODEL"):
            await engine.ready()
        assert engine.state == "failed"


async def test_two_models_share_what_was_computed_of_a_session(engine: Engine) -> None:
    for lane in (Lane.PARTIAL, Lane.FINAL):
        assert words((await engine.transcribe(window(lane, owner="session"))).text) == words(CLIP.text)
    kept = engine._mel.n_frames
    assert 0 < kept <= len(CLIP.samples()) // 160
    await engine.transcribe(window(Lane.FILE, owner="file"))
    assert engine._mel.n_frames == kept
    engine.cancel("session")
    assert engine._mel.n_frames == 0


async def test_a_dead_worker_is_replaced_and_the_window_tried_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine._shelf.get("digits")
    assert model is not None
    run, failures = model.backend.run, [RuntimeError("the device fell off the bus")]

    def dying(requests: object) -> object:
        if failures:
            raise failures.pop()
        return run(requests)  # type: ignore[arg-type]

    monkeypatch.setattr(model.backend, "run", dying)
    assert words((await engine.transcribe(window())).text) == words(CLIP.text)
    failures += [RuntimeError("again")] * 2
    with pytest.raises(WorkerLost):
        await engine.transcribe(window())
    assert words((await engine.transcribe(window())).text) == words(CLIP.text)


async def test_draining_takes_no_more_and_waits_for_what_it_took(engine: Engine) -> None:
    taken = [asyncio.create_task(engine.transcribe(window(owner=f"{i}"))) for i in range(3)]
    await asyncio.sleep(0)
    await engine.drain(30.0)
    with pytest.raises(Refused):
        await engine.transcribe(window())
    assert all(r.segments for r in await asyncio.gather(*taken))


async def test_what_still_waits_when_the_grace_is_over_is_refused_at_once() -> None:
    async with Engine(DIGITS) as engine:
        await engine.ready()
        taken = [asyncio.create_task(engine.transcribe(window(Lane.FILE, str(i)))) for i in range(60)]
        await asyncio.sleep(0)
        await engine.drain(0)
        assert not any(engine.capacity().queued.values())
        ended = await asyncio.gather(*taken, return_exceptions=True)
        assert any(isinstance(e, Refused) and e.code == "draining" for e in ended)


async def test_idle_models_leave_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second model is loaded on demand, freed after its time to live, and loaded again when asked for."""
    put_in_cache(tmp_path, "Systran/faster-whisper-tiny")
    async with Engine(dataclasses.replace(DIGITS, cache=tmp_path, model_ttl_s=0.4)) as engine:
        await engine.ready()
        for _ in range(2):
            assert words((await engine.transcribe(window(model="tiny"))).text) == words(CLIP.text)
            assert {m.id for m in engine.models() if m.loaded} == {"digits", "tiny"}
            async with asyncio.timeout(20):
                while any(m.loaded for m in engine.models() if m.id == "tiny"):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        assert [m.loaded for m in engine.models() if m.default] == [True]


async def test_no_room_for_a_model_is_refused_not_forced(tmp_path: Path) -> None:
    async with Engine(dataclasses.replace(DIGITS, cache=tmp_path, max_loaded=1)) as engine:
        await engine.ready()
        with pytest.raises(Refused) as refusal:
            await engine.load("tiny")
        assert refusal.value.code == "models_busy"


def put_in_cache(cache: Path, repository: str) -> None:
    """A cached copy of the digits model under another name."""
    snapshot = cache / ("models--" + repository.replace("/", "--")) / "snapshots" / "abc"
    shutil.copytree(models.BUNDLED, snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("abc")


@pytest.mark.parametrize(
    ("downloads", "name", "fetched"),
    [
        ("sizes", "someone/whisper-x", False),
        ("sizes", "Systran/faster-whisper-tiny", True),
        ("sizes", "tiny", True),
        ("any", "someone/whisper-x", True),
        ("none", "tiny", False),
    ],
)
async def test_what_requests_may_make_the_server_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloads: models.Downloads, name: str, fetched: bool
) -> None:
    def fetch(repository: str, cache: Path | None, token: str | None) -> Path:
        raise ModelUnavailable("asked the hub", model=repository)

    monkeypatch.setattr(models, "fetch", fetch)
    async with Engine(dataclasses.replace(DIGITS, cache=tmp_path, downloads=downloads)) as engine:
        await engine.ready()
        with pytest.raises(ModelUnavailable) as error:
            await engine.load(name)
        assert error.value.message == "asked the hub" if fetched else "MODEL_DOWNLOADS" in error.value.message
        put_in_cache(tmp_path, models.hub_id(name) or "")
        assert await engine.load(name) == models.canonical(name)


async def test_requests_name_no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder below the server's own that looks like a hub id stays unseen."""
    shutil.copytree(models.BUNDLED, tmp_path / "private" / "model")
    monkeypatch.chdir(tmp_path)
    async with Engine(dataclasses.replace(DIGITS, cache=tmp_path / "cache")) as engine:
        await engine.ready()
        with pytest.raises(ModelUnavailable, match="MODEL_DOWNLOADS"):
            await engine.load("private/model")


async def test_a_model_that_cannot_be_had_pushes_no_other_out(tmp_path: Path) -> None:
    put_in_cache(tmp_path, "Systran/faster-whisper-tiny")
    async with Engine(dataclasses.replace(DIGITS, cache=tmp_path, max_loaded=2)) as engine:
        await engine.ready()
        await engine.load("tiny")
        with pytest.raises(ModelUnavailable):
            await engine.load("someone/whisper-x")
        assert {m.id for m in engine.models() if m.loaded} == {"digits", "tiny"}


STOPPED = """
import asyncio, threading
from whisperlive_hybrid.engine import engine as module
from whisperlive_hybrid.engine import memory, models
from whisperlive_hybrid.engine.engine import Engine, EngineOptions

downloading = threading.Event()
def locate(*_):
    downloading.set()
    threading.Event().wait()

async def main():
    models.locate = locate
    async with Engine(EngineOptions(model="digits", device="cpu")):
        await asyncio.to_thread(downloading.wait)

asyncio.run(main())
"""


def test_a_download_does_not_hold_up_the_end_of_the_process() -> None:
    assert subprocess.run([sys.executable, "-c", STOPPED], timeout=60, check=False).returncode == 0


FREED = """
import os, sys, tempfile
from pathlib import Path
from tools.cost_model import make_cost_model
from whisperlive_hybrid.engine import memory, models
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.loading import warm_up
from whisperlive_hybrid.engine.whisper import WhisperBackend

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

memory.keep_freed_memory()
with tempfile.TemporaryDirectory() as folder:
    path = make_cost_model("base", Path(folder))
    memory.return_freed_memory()
    tokenizer = models.load_tokenizer(path)
    before = resident()
    backend = WhisperBackend(path, Device("cpu", 0, "CPU", "int8", 2, 8, None), tokenizer)
    warm_up(backend)
    loaded = resident()
    backend.close()
    print(before, loaded, resident(), "torch" in sys.modules)
"""


def test_a_closed_models_memory_goes_back_to_the_system() -> None:
    """In a process of its own, so that nothing else moves the figure. The model weighs 76 MB and works in more."""
    out = subprocess.run([sys.executable, "-c", FREED], check=True, capture_output=True, text=True, timeout=100)
    before, loaded, after, torch = out.stdout.split()
    assert float(loaded) - float(before) > 76
    assert float(after) - float(before) < 40, "the weights alone are 76"
    assert torch == "False"


async def test_memory_goes_back_once_after_work(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[bool] = []
    async with Engine(DIGITS) as engine:
        await engine.ready()
        monkeypatch.setattr(memory, "return_freed_memory", lambda *, collect: given_back.append(collect))
        engine._resting.cancel()
        monkeypatch.setattr(module, "REST_S", 0.02)
        engine._resting = asyncio.create_task(engine._give_back_when_idle())
        await asyncio.sleep(0.1)
        assert given_back == [], "nothing was done yet"
        for n in (1, 2):
            await engine.transcribe(window())
            async with asyncio.timeout(20):
                while len(given_back) < n:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert given_back == [False] * n
