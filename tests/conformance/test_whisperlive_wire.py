"""WhisperLive's wire on a real socket: what its clients send in their own order, and everything that can be wrong."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.support.clips import Clip, clips, words
from tests.support.live_server import LiveServer, live_server
from tests.support.waiting import until
from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.live.runner import LiveLimits
from whisperlive_hybrid.transports.admission import admission
from whisperlive_hybrid.transports.live_door import LiveTerms
from whisperlive_hybrid.transports.websocket import listener

LEAST = {"uid": "u", "language": "en", "task": "transcribe", "model": "digits"}
READY = {"uid": "u", "message": "SERVER_READY", "backend": "faster_whisper"}
END = "END_OF_AUDIO"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[LiveServer]:
    async with live_server() as running:
        yield running


def frames(clip: Clip, n_samples: int = 8000, form: str = "float32") -> list[bytes]:
    """The clip as a client sends it."""
    samples = clip.samples()
    encoded = {
        "float32": lambda: samples.astype("<f4"),
        "int16": lambda: (samples * 32767).astype("<i2"),
        "uint8": lambda: (samples * 127 + 128).astype(np.uint8),
    }[form]()
    return [encoded[i : i + n_samples].tobytes() for i in range(0, len(encoded), n_samples)]


async def all_of(socket: ClientConnection, heard: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Messages until the close."""
    heard = [] if heard is None else heard
    try:
        async for message in socket:
            assert isinstance(message, str)
            heard.append(json.loads(message))
    except ConnectionClosed:
        pass
    return heard


async def converse(
    url: str, *messages: str | bytes | dict[str, Any], path: str = "/", **options: Any
) -> tuple[list[dict[str, Any]], int | None]:
    """Send everything at once; what came, and the code of the close."""
    async with asyncio.timeout(30), connect(url + path, max_size=None, **options) as socket:
        hearing = asyncio.create_task(all_of(socket))
        try:
            for message in messages:
                await socket.send(json.dumps(message) if isinstance(message, dict) else message)
        except ConnectionClosed:
            pass
        return await hearing, socket.close_code


def completed(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Completed segments, each once."""
    kept: dict[tuple[str, str, str], dict[str, Any]] = {}
    for message in messages:
        for segment in message.get("segments", ()):
            if segment["completed"]:
                kept[segment["start"], segment["end"], segment["text"]] = segment
    return list(kept.values())


def text(messages: Sequence[dict[str, Any]]) -> list[str]:
    return words(" ".join(s["text"] for s in completed(messages)))


# --- orders in which clients send ------------------------------------------------------------------------------------


async def test_chrome_waits_for_ready_is_told_the_language_and_just_leaves(server: LiveServer, clip: Clip) -> None:
    """Its origin is no web page's. The first message is ready, the second the language, whatever they are."""
    origin = Origin("chrome-extension://abcdefghijklmnop")
    async with asyncio.timeout(30), connect(server.url + "/", origin=origin) as socket:
        await socket.send(json.dumps({**LEAST, "language": None, "use_vad": True}))
        assert json.loads(await socket.recv()) == READY
        hearing = asyncio.create_task(all_of(socket, heard := []))
        for frame in [*frames(clip), *[bytes(32_000)] * 3]:
            await socket.send(frame)
        await until(lambda: bool(completed(heard)))
        await socket.close()
        await hearing
    assert (heard[0]["language"], 0.5 < heard[0]["language_prob"] <= 1) == ("en", True)
    assert all(list(message) == ["uid", "segments"] for message in heard[1:])
    assert text(heard) == words(clip.text)
    await until(lambda: server.live.n_sessions == 0)


async def test_firefox_sends_audio_at_once(server: LiveServer, clip: Clip) -> None:
    origin = Origin("moz-extension://11111111-2222-3333-4444-555555555555")
    config = {**LEAST, "use_vad": True}
    heard, code = await converse(server.url, config, *frames(clip), END.encode(), path="/ws?x=1", origin=origin)
    assert heard[0] == READY
    assert (text(heard), code) == (words(clip.text), 1000)


async def test_ios_ends_with_text_and_hears_the_rest(server: LiveServer, clip: Clip) -> None:
    config = {**LEAST, "max_clients": 4, "max_connection_time": 600}
    heard, code = await converse(server.url, config, *frames(clip, 1024), END)
    assert (text(heard), code) == (words(clip.text), 1000)
    for message in heard[1:]:
        for segment in message["segments"]:
            assert list(segment) == ["start", "end", "text", "completed"]
            assert all(type(segment[key]) is str and segment[key][-4] == "." for key in ("start", "end"))
            assert type(segment["completed"]) is bool and segment["text"].startswith(" ")
    (final,) = completed(heard)
    partials = [m["segments"][-1] for m in heard[1:] if not m["segments"][-1]["completed"]]
    assert {p["start"] for p in partials} == {final["start"]}, "a segment keeps its start"
    assert partials[-1]["text"] == final["text"]


async def test_ios_cancels_without_waiting_and_its_place_is_free(server: LiveServer, clip: Clip) -> None:
    async with connect(server.url) as socket:
        await socket.send(json.dumps(LEAST))
        await socket.recv()
        for frame in frames(clip):
            await socket.send(frame)
        await socket.send(END)
        socket.transport.abort()
    await until(lambda: server.live.n_sessions == 0)


# --- fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["float32", "int16", "uint8"])
async def test_audio_formats(server: LiveServer, clip: Clip, form: str) -> None:
    config = {**LEAST, "audio_format": form}
    heard, _ = await converse(server.url, config, *frames(clip, form=form), END)
    assert text(heard) == words(clip.text)


async def test_raw_pcm_input_is_the_format_of_those_who_name_none(server: LiveServer, clip: Clip) -> None:
    async with live_server(terms=LiveTerms(raw_pcm=True), beside=server) as raw:
        heard, _ = await converse(raw.url, LEAST, *frames(clip, form="int16"), END)
    assert text(heard) == words(clip.text)


async def test_a_binary_configuration_frames_of_nothing_and_two_ends(server: LiveServer, clip: Clip) -> None:
    messages = [b"", *frames(clip), b"", END.encode(), END.encode(), bytes(4096)]
    heard, code = await converse(server.url, json.dumps(LEAST).encode(), *messages)
    assert (text(heard), code) == (words(clip.text), 1000)


async def test_words_have_times_and_probabilities(server: LiveServer, clip: Clip) -> None:
    heard, _ = await converse(server.url, {**LEAST, "word_timestamps": True}, *frames(clip), END)
    (segment,) = completed(heard)
    assert list(segment) == ["start", "end", "text", "completed", "words"]
    spelled = segment["words"]
    assert "".join(w["word"] for w in spelled) == segment["text"]
    for word in spelled:
        assert list(word) == ["word", "start", "end", "probability"]
        assert float(segment["start"]) <= float(word["start"]) <= float(word["end"])
        assert word["probability"] == round(word["probability"], 4)


async def test_translation_to_english_is_a_task(server: LiveServer) -> None:
    clip = next(c for c in clips("de") if c.translation)
    heard, _ = await converse(server.url, {**LEAST, "language": "de", "task": "translate"}, *frames(clip), END)
    assert clip.translation is not None
    assert text(heard) == words(clip.translation)


async def test_segments_are_not_translated_which_is_said_before_ready(server: LiveServer, clip: Clip) -> None:
    config = {**LEAST, "enable_translation": True, "target_language": "fr"}
    heard, _ = await converse(server.url, config, *frames(clip), END)
    assert (heard[0]["status"], heard[1]) == ("WARNING", READY)
    assert all("translated_segments" not in message for message in heard)
    assert text(heard) == words(clip.text)


async def test_a_model_that_cannot_be_had_is_replaced_and_said(server: LiveServer, clip: Clip) -> None:
    heard, _ = await converse(server.url, {**LEAST, "model": "no-such-model"}, *frames(clip), END)
    assert (heard[0]["status"], heard[1]) == ("WARNING", READY)
    assert "no-such-model" in heard[0]["message"] and "digits" in heard[0]["message"]
    assert text(heard) == words(clip.text)


@pytest.mark.parametrize("last_n", [0, 1, 10])
async def test_completed_segments_are_sent_again_as_many_as_asked_for(
    server: LiveServer, clip: Clip, last_n: int
) -> None:
    audio = [*frames(clip), *[bytes(32_000)] * 2] * 3
    heard, _ = await converse(server.url, {**LEAST, "send_last_n_segments": last_n}, *audio, END)
    last = heard[-1]["segments"]
    assert len(completed(heard)) == 3
    assert len(last) == (last_n and min(last_n, 3)) or len(last) == 3 * (last_n == 0)
    times = [float(s[key]) for s in completed(heard) for key in ("start", "end")]
    assert times == sorted(times)


@pytest.mark.parametrize(("threshold", "n"), [(5, 2), (20, 1)])
async def test_same_output_threshold_is_the_patience_with_pauses(
    server: LiveServer, clip: Clip, threshold: int, n: int
) -> None:
    """Half a second between two clips: a pause for one that is hasty only."""
    ((begin, end, _),) = clip.utterances
    speech = clip.samples()[int((begin - 0.1) * 16_000) : int((end + 0.1) * 16_000)]
    audio = np.concatenate([np.zeros(8000, np.float32), speech, np.zeros(4800, np.float32), speech])
    config = {**LEAST, "same_output_threshold": threshold}
    heard, _ = await converse(server.url, config, audio.astype("<f4").tobytes(), END)
    assert len(completed(heard)) == n
    assert text(heard) == words(clip.text) * 2


async def test_words_that_end_with_the_audio_are_completed_though_nothing_more_comes(
    server: LiveServer, clip: Clip
) -> None:
    until_last_word = clip.samples()[: int(clip.utterances[0][1] * 16_000)].astype("<f4").tobytes()
    async with asyncio.timeout(30), connect(server.url) as socket:
        await socket.send(json.dumps(LEAST))
        await socket.send(until_last_word)
        heard: list[dict[str, Any]] = []
        while not completed(heard):
            heard.append(json.loads(await socket.recv()))
    assert text(heard) == words(clip.text)


# --- limits and keys -------------------------------------------------------------------------------------------------


async def test_a_full_server_says_how_many_minutes_and_closes(server: LiveServer) -> None:
    limits = LiveLimits(max_sessions=1, retry_after_s=90.0)
    async with live_server(limits=limits, beside=server) as small, connect(small.url) as one:
        await one.send(json.dumps(LEAST))
        await one.recv()
        heard, code = await converse(small.url, {**LEAST, "uid": 7})
    assert (heard, code) == ([{"uid": 7, "status": "WAIT", "message": 1.5}], 1000)


async def test_a_silent_client_is_disconnected_when_its_time_is_up_with_all_that_was_said(
    server: LiveServer, clip: Clip
) -> None:
    async with live_server(terms=LiveTerms(time_limit_s=1.0), beside=server) as hasty:
        heard, code = await converse(hasty.url, LEAST, *frames(clip))
    assert text(heard) == words(clip.text)
    assert (heard[-1], code) == ({"uid": "u", "message": "DISCONNECT"}, 1000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def locked(server: LiveServer) -> AsyncIterator[LiveServer]:
    """It asks for a key."""
    admit = admission(Settings(api_key="right", _env_file=None))  # type: ignore[call-arg]
    async with live_server(admit=admit, beside=server) as running:
        yield running


async def test_a_key_opens_by_header_query_and_subprotocol(locked: LiveServer) -> None:
    for path, options in (
        ("/", {"additional_headers": {"Authorization": "Bearer right"}}),
        ("/ws?token=right", {}),
        ("/", {"subprotocols": [Subprotocol("bearer"), Subprotocol("right")]}),
    ):
        heard, code = await converse(locked.url, LEAST, END, path=path, **options)
        assert (heard, code) == ([READY], 1000)


async def test_without_the_key_the_handshake_is_refused(locked: LiveServer) -> None:
    for path in ("/", "/?token=wrong"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(locked.url + path)
        answer = refused.value.response
        assert (answer.status_code, answer.body) == (401, b"Unauthorized\n")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_a_web_page_of_somebody_else_is_refused(server: LiveServer) -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    async with live_server(admit=admission(settings), beside=server) as guarded:
        with pytest.raises(InvalidStatus) as refused:
            await connect(guarded.url, origin=Origin("https://evil.example"))
        assert refused.value.response.status_code == 403
        heard, _ = await converse(guarded.url, LEAST, END, origin=Origin("chrome-extension://abc"))
        assert heard == [READY]


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("hello", "JSON"),
        ("[1]", "JSON"),
        (b"\x00\x01\x02\x03", "JSON"),
        (END, "JSON"),
        ({"language": "en", "task": "transcribe", "model": "digits"}, "uid"),
        ({"uid": "u", "task": "transcribe", "model": "digits"}, "language"),
        ({"uid": "u", "language": "en", "model": "digits"}, "task"),
        ({"uid": "u", "language": "en", "task": "transcribe"}, "model"),
        ({**LEAST, "language": "elvish"}, "elvish"),
        ({**LEAST, "task": 5}, "task"),
        ({**LEAST, "audio_format": "opus"}, "audio_format"),
        ({**LEAST, "vad_parameters": "x"}, "vad_parameters"),
    ],
)
async def test_a_first_message_that_is_wrong_is_answered_and_closed(
    server: LiveServer, message: str | bytes | dict[str, Any], word: str
) -> None:
    (error,), code = await converse(server.url, message)
    assert list(error) == ["uid", "status", "message"]
    assert (error["status"], code) == ("ERROR", 1000)
    assert word in error["message"]


async def test_a_refused_client_that_has_sent_much_need_not_wait_for_the_close(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More frames than are read ahead stand before its answer to the close."""
    monkeypatch.setattr(listener, "CLOSE_WITHIN_S", 40.0)
    async with live_server(beside=server) as patient:
        (error,), code = await converse(patient.url, {**LEAST, "task": 5}, *[bytes(4096)] * 20, close_timeout=40)
    assert (error["status"], code) == ("ERROR", 1000)


@pytest.mark.parametrize("wrong", ["hello", '{"uid": "u"}', b"\0\0\0"])
async def test_a_wrong_frame_is_answered_and_what_came_before_is_told(
    server: LiveServer, clip: Clip, wrong: str | bytes
) -> None:
    heard, code = await converse(server.url, LEAST, *frames(clip), wrong, *frames(clip))
    assert [m["status"] for m in heard if "status" in m] == ["ERROR"]
    assert (text(heard), code) == (words(clip.text), 1000)


async def test_a_message_may_have_a_mebibyte_and_no_byte_more(server: LiveServer) -> None:
    assert (await converse(server.url, LEAST, bytes(2**20), END))[1] == 1000
    assert (await converse(server.url, LEAST, bytes(2**20 + 4), END))[1] == 1009


async def test_whoever_does_everything_wrong_is_not_noticed_by_others(server: LiveServer, clip: Clip) -> None:
    async def misbehave() -> None:
        for wrong in ("{", {**LEAST, "language": "xx"}, bytes(2**20 + 1), {**LEAST, "uid": "x" * 9000}):
            await converse(server.url, wrong)
            await converse(server.url, LEAST, bytes(1001))
            async with connect(server.url) as socket:
                await socket.send(json.dumps(LEAST))
                socket.transport.abort()

    (heard, code), _ = await asyncio.gather(converse(server.url, LEAST, *frames(clip) * 3, END), misbehave())
    assert (text(heard), code) == (words(clip.text) * 3, 1000)
    await until(lambda: server.live.n_sessions == 0)


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_is_sent_the_connection_ends_in_an_orderly_way(server: LiveServer, seed: int) -> None:
    rng = random.Random(seed)
    values: list[Any] = [
        None,
        True,
        0,
        -1,
        10**30,
        0.5,
        "",
        "en",
        "uint8",
        "x" * 3000,
        [],
        [{}],
        {},
        {"threshold": "x"},
    ]
    keys = [*LEAST, "audio_format", "send_last_n_segments", "no_speech_thresh", "same_output_threshold", "hotwords"]
    keys += ["initial_prompt", "vad_parameters", "known_speakers", "max_speakers", "enable_diarization", "other"]
    sounds: list[str | bytes] = [b"", b"\0", b"\xff" * 64_000, np.full(9000, np.nan, "<f4").tobytes(), "{}", END]
    for _ in range(20):
        config = {**LEAST, **{rng.choice(keys): rng.choice(values) for _ in range(rng.randrange(4))}}
        for _ in range(rng.randrange(2)):
            config.pop(rng.choice(list(config)))
        heard, code = await converse(server.url, config, *rng.choices(sounds, k=rng.randrange(6)), END)
        assert code == 1000
        assert heard, "no client is closed without a word"
        assert all(message["uid"] == config.get("uid") for message in heard)
    await until(lambda: server.live.n_sessions == 0)


async def test_a_server_that_shuts_down_tells_what_was_said_and_may_be_called_again(
    server: LiveServer, clip: Clip
) -> None:
    async with live_server(beside=server) as ending, connect(ending.url) as socket:
        await socket.send(json.dumps(LEAST))
        heard = [json.loads(await socket.recv())]
        for frame in frames(clip):
            await socket.send(frame)
        await until(lambda: any(s.received == len(frames(clip)) for s in ending.live._registry.sessions))
        await asyncio.gather(ending.live.drain(10.0), all_of(socket, heard))
        assert (text(heard), socket.close_code) == (words(clip.text), 1012)
        refused, _ = await converse(ending.url, LEAST)
        assert refused[0]["status"] == "WAIT"


async def test_a_plain_request_is_no_socket_and_harms_nothing(server: LiveServer) -> None:
    def get() -> int:
        connection = http.client.HTTPConnection(server.url.removeprefix("ws://"), timeout=5)
        connection.request("GET", "/")
        return connection.getresponse().status

    assert await asyncio.to_thread(get) == 426
    assert (await converse(server.url, LEAST, END))[0] == [READY]
