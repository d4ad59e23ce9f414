"""`/ws/stream` over real sockets with the real model, audio sent as fast as it is taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect

from tests.support.clips import Clip, clips, words
from tests.support.encoded_audio import length_prefixed, mux, opus_packets
from tests.support.live_server import Conversation, LiveServer, listen, live_server, messages, pcm16, say
from tests.support.waiting import until
from whisperlive_hybrid.errors import Unauthorized
from whisperlive_hybrid.live.runner import LiveLimits
from whisperlive_hybrid.transports.http.live_socket import live_socket
from whisperlive_hybrid.transports.live_door import LiveTerms
from whisperlive_hybrid.transports.websocket.native import DOOR as NATIVE

pytestmark = pytest.mark.asyncio(loop_scope="module")

EN = "codec=pcm_s16le&language=en"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[LiveServer]:
    async with live_server(limits=LiveLimits(max_sessions=12, resume_s=1.0)) as running:
        yield running


def one() -> Clip:
    return clips("en")[0]


def conversation() -> Clip:
    return min(clips(conversations=True), key=lambda c: c.duration_s)


def at_48k(clip: Clip) -> np.ndarray[Any, np.dtype[np.float32]]:
    samples = clip.samples()
    t = np.arange(len(samples) * 3) / 3
    return np.interp(t, np.arange(len(samples)), samples).astype(np.float32)


def check_events(said: Conversation) -> None:
    """What holds for every session that was not interrupted."""
    assert [e["event"] for e in said.events] == list(range(1, len(said.events) + 1))
    assert said.events[0]["type"] == "ready"
    assert said.events[-1]["type"] == "done"
    assert said.close_code == 1000
    acks = said.of("ack")
    assert acks == sorted(acks, key=lambda a: (a["received"], a["committed"]))
    assert acks[-1]["received"] == acks[-1]["committed"], "at the end everything is final"
    segments = [f["segment"] for f in said.of("final")]
    assert segments == sorted(set(segments))


@pytest.mark.parametrize(
    "codec", ["pcm_s16le", "pcm_f32le", "opus", "ogg-opus", "webm-opus", "sniffed ogg", "48k stereo"]
)
async def test_every_codec_gives_the_words(server: LiveServer, codec: str) -> None:
    clip = one()
    match codec:
        case "pcm_s16le":
            data, query = pcm16(clip.samples()), "codec=pcm_s16le"
        case "pcm_f32le":
            data, query = clip.samples().tobytes(), "codec=pcm_f32le"
        case "48k stereo":
            stereo = np.repeat(at_48k(clip), 2)
            data, query = pcm16(stereo), "codec=pcm_s16le&sample_rate=48000&channels=2"
        case "opus":
            data, query = length_prefixed(opus_packets(at_48k(clip))), "codec=opus"
        case "ogg-opus":
            data, query = mux(at_48k(clip), "ogg", "libopus"), "codec=ogg-opus"
        case "webm-opus":
            data, query = mux(at_48k(clip), "webm", "libopus"), "codec=webm-opus"
        case _:
            data, query = mux(at_48k(clip), "ogg", "libopus"), "language=en"
    said = await say(server.url, messages(data, 3001), query + "&language=English")
    check_events(said)
    assert words(said.text) == words(clip.text)


async def test_a_conversation_pushed_as_fast_as_it_is_taken_loses_no_word(server: LiveServer) -> None:
    clip = conversation()
    said = await say(server.url, messages(pcm16(clip.samples()), 2**20), EN)
    check_events(said)
    assert words(said.text) == words(clip.text)
    done = said.events[-1]
    assert done["audio"] == pytest.approx(clip.duration_s, abs=0.1)
    assert (done["segments"], done["words"]) == (len(said.finals), len(words(clip.text)))


async def test_partials_come_while_it_is_spoken_and_committed_words_stay(server: LiveServer) -> None:
    clip = one()
    audio, said = messages(pcm16(clip.samples()), 4800), Conversation()
    async with connect(f"{server.url}/ws/stream?{EN}") as socket:
        listener = asyncio.create_task(listen(socket, said))
        for message in audio[: len(audio) * 2 // 3]:
            await socket.send(message)
        await until(lambda: said.of("partial"), 30)  # however slow this machine is just now
        for message in audio[len(audio) * 2 // 3 :]:
            await socket.send(message)
        await socket.send('{"type":"stop"}')
        await listener
    check_events(said)
    partials = said.of("partial")
    assert partials
    assert said.events.index(partials[0]) < said.events.index(said.of("final")[0])
    shown = "".join(p["append"] for p in partials) + partials[-1]["tentative"]
    assert words(shown) == words(clip.text)[: len(words(shown))]
    assert [s["state"] for s in said.of("speech")] == ["started", "stopped"]


async def test_words_with_times_and_a_detected_language(server: LiveServer) -> None:
    clip = clips("es")[0]
    start = {"type": "start", "codec": "pcm_s16le", "words": True, "interim": False, "unknown": [1]}
    async with connect(f"{server.url}/ws/stream") as socket:
        await socket.send(json.dumps(start))
        for message in messages(pcm16(clip.samples())):
            await socket.send(message)
        await socket.send('{"type":"stop"}')
        said = await listen(socket)
    check_events(said)
    (final,) = said.of("final")
    assert final["language"] == "es"
    assert words(" ".join(w["word"] for w in final["words"])) == words(clip.text)
    times = [t for w in final["words"] for t in (w["start"], w["end"])]
    assert times == sorted(times)
    assert final["start"] - 0.3 <= times[0] and times[-1] <= final["end"] + 0.3
    assert said.of("partial") == []


async def test_noise_and_silence_give_no_text_and_cost_no_inference(server: LiveServer) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.003, 20 * 16_000).astype(np.float32)
    said = await say(server.url, messages(pcm16(noise)), "codec=pcm_s16le")
    check_events(said)
    assert {e["type"] for e in said.events} - {"status"} == {"ready", "ack", "done"}
    assert said.events[-1]["timing"] == {"queued_s": 0.0, "encode_s": 0.0, "decode_s": 0.0, "align_s": 0.0}


async def test_flush_finalizes_what_was_said_and_the_session_goes_on(server: LiveServer) -> None:
    clip = one()
    speech = clip.samples()[: int((clip.utterances[0][1] - 0.05) * 16_000)]
    said = Conversation()
    async with connect(f"{server.url}/ws/stream?codec=pcm_s16le&language=en") as socket:
        for _ in range(2):
            for message in messages(pcm16(speech)):
                await socket.send(message)
            await socket.send('{"type":"flush","id":"so far"}')
            while not said.events or said.events[-1]["type"] != "flushed":
                said.events.append(json.loads(await socket.recv()))
        await socket.send('{"type":"stop"}')
        await listen(socket, said)
    check_events(said)
    assert words(said.text) == words(clip.text) * 2
    assert [e["id"] for e in said.events if e["type"] == "flushed"] == ["so far"] * 2


async def test_ten_sessions_at_once(server: LiveServer) -> None:
    chosen = clips("en")[:10]
    audio = [messages(pcm16(c.samples()), 8000) for c in chosen]
    alone = [await say(server.url, a, f"{EN}&interim=0") for a in audio]
    said = await asyncio.gather(*(say(server.url, a, EN, pause_s=0.1) for a in audio))
    assert [s.finals for s in said] == [s.finals for s in alone]
    # The model itself misreads one or another clip.
    assert sum(words(s.text) == words(c.text) for s, c in zip(said, chosen, strict=True)) >= 7
    for one_of_them in said:
        check_events(one_of_them)
    await until(lambda: server.live.n_sessions == 0)


@asynccontextmanager
async def http_port(server: LiveServer) -> AsyncIterator[str]:
    """The same sessions on an aiohttp application; yields its address."""
    app = web.Application()
    app.router.add_get("/ws/stream", live_socket(NATIVE, server.live, terms=LiveTerms()))
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_same_on_the_http_port(server: LiveServer) -> None:
    clip = one()
    async with http_port(server) as url:
        said = await say(url, messages(pcm16(clip.samples())), EN)
        check_events(said)
        assert words(said.text) == words(clip.text)
        too_large = await say(url, [bytes(2**20 + 2)], EN, stop=False)
        assert too_large.close_code == 1009
        wrong = await say(url, [], "codec=mp3", stop=False)
        assert (wrong.events[0]["code"], wrong.close_code) == ("unknown_codec", 1003)


async def test_a_session_that_broke_on_one_port_goes_on_at_the_other(server: LiveServer) -> None:
    clip = one()
    audio = messages(pcm16(clip.samples()))
    async with http_port(server) as url:
        socket = await connect(f"{url}/ws/stream?{EN}")
        ready = json.loads(await socket.recv())
        await socket.send(audio[0])
        await socket.recv()  # the acknowledgement
        socket.transport.abort()
        await until(lambda: server.live.n_waiting == 1)
        socket = await resume(server.url, ready, 1)
        resumed = json.loads(await socket.recv())
        assert (resumed["type"], resumed["frames"]) == ("resumed", 1)
        for message in audio[1:]:
            await socket.send(message)
        await socket.send('{"type":"stop"}')
        assert words((await listen(socket)).text) == words(clip.text)


# --- connections that break ------------------------------------------------------------------------------------------


async def resume(url: str, ready: dict[str, Any], last_event: int) -> ClientConnection:
    socket = await connect(f"{url}/ws/stream?codec=pcm_s16le&language=en")
    again = {"type": "resume", "session": ready["session"], "token": ready["token"], "last_event": last_event}
    await socket.send(json.dumps(again))
    return socket


async def test_a_session_whose_connection_breaks_again_and_again_gets_each_word_once(server: LiveServer) -> None:
    clip = conversation()
    audio = messages(pcm16(clip.samples()))
    said = Conversation()
    socket = await connect(f"{server.url}/ws/stream?codec=pcm_s16le&language=en")
    ready = json.loads(await socket.recv())
    said.events.append(ready)
    sent = 0
    for stop_at in (7, 8, 15, 22, len(audio)):
        while sent < stop_at:
            await socket.send(audio[sent])
            sent += 1
        if stop_at == len(audio):
            break
        async with asyncio.timeout(5):  # some events are read, some are lost with the connection
            for _ in range(2):
                event = json.loads(await socket.recv())
                said.events.append(event)
        socket.transport.abort()
        socket = await resume(server.url, ready, said.events[-1]["event"])
        resumed = json.loads(await socket.recv())
        assert resumed["type"] == "resumed"
        assert resumed["event"] == said.events[-1]["event"]
        assert resumed["frames"] <= sent
        sent = resumed["frames"]
    await socket.send('{"type":"stop"}')
    await listen(socket, said)
    check_events(said)
    assert words(said.text) == words(clip.text)
    await until(lambda: server.live.n_sessions + server.live.n_waiting == 0)


async def test_a_newer_connection_takes_the_session_over(server: LiveServer) -> None:
    clip = one()
    audio = messages(pcm16(clip.samples()))
    first = await connect(f"{server.url}/ws/stream?codec=pcm_s16le&language=en")
    ready = json.loads(await first.recv())
    await first.send(audio[0])
    second = await resume(server.url, ready, 1)
    old = await listen(first)
    assert old.close_code == 4410
    assert old.events[-1]["code"] == "taken_over"
    resumed = json.loads(await second.recv())
    for message in audio[resumed["frames"] :]:
        await second.send(message)
    await second.send('{"type":"stop"}')
    assert words((await listen(second)).text) == words(clip.text)


async def test_an_abrupt_disconnect_leaks_nothing(server: LiveServer) -> None:
    await until(lambda: server.live.n_sessions + server.live.n_waiting == 0)
    before = asyncio.all_tasks()
    audio = messages(pcm16(conversation().samples()))
    for n in (1, 3, 9):
        socket = await connect(f"{server.url}/ws/stream?codec=pcm_s16le")
        ready = json.loads(await socket.recv())
        for message in audio[:n]:
            await socket.send(message)
        socket.transport.abort()
    await until(lambda: server.live.n_waiting == 3)
    await until(lambda: server.live.n_waiting == 0)  # resume_s is one second here
    said = await listen(await resume(server.url, ready, 0))
    assert (said.events[0]["code"], said.events[0]["fatal"], said.close_code) == ("no_such_session", True, 4404)
    await until(lambda: not {t for t in asyncio.all_tasks() - before if t.get_name().startswith("live")})


async def test_a_client_that_leaves_on_purpose_is_not_waited_for(server: LiveServer) -> None:
    async with connect(f"{server.url}/ws/stream?codec=pcm_s16le") as socket:
        await socket.send(messages(pcm16(one().samples()))[0])
        await socket.recv()
    await until(lambda: server.live.n_sessions == 0)
    assert server.live.n_waiting == 0


# --- bad input -------------------------------------------------------------------------------------------------------


async def error_of(server: LiveServer, query: str = "", *sent: str | bytes) -> tuple[dict[str, Any], int | None]:
    """The first error, and how the connection ended."""
    async with connect(f"{server.url}/ws/stream{query}", max_size=None) as socket:
        for message in sent:
            await socket.send(message)
        said = await listen(socket)
    return said.of("error")[0], said.close_code


@pytest.mark.parametrize(
    ("query", "code", "param", "close"),
    [
        ("?codec=mp3", "unknown_codec", "codec", 1003),
        ("?language=klingon", "unknown_language", "language", 4400),
        ("?task=sing", "unknown_task", "task", 4400),
        ("?model=no-such-model", "model_not_found", "model", 4400),
        ("?sample_rate=1", "bad_sample_rate", "sample_rate", 4400),
        ("?interim=perhaps", "bad_option", "interim", 4400),
        ('?vad={"threshold":7}', "bad_option", "vad.threshold", 4400),
        ("?vad=loud", "bad_option", "vad", 4400),
    ],
)
async def test_a_wrong_start_says_what_was_wrong(
    server: LiveServer, query: str, code: str, param: str | None, close: int
) -> None:
    error, close_code = await error_of(server, query)
    assert (error["code"], error.get("param"), error["fatal"], close_code) == (code, param, True, close)


async def test_audio_without_a_codec_says_which_there_are(server: LiveServer) -> None:
    error, close_code = await error_of(server, "", pcm16(one().samples())[:16_000])
    assert (error["code"], close_code) == ("codec_required", 1003)
    assert "pcm_s16le" in error["accepted"]


async def test_noise_instead_of_opus(server: LiveServer) -> None:
    noise = np.random.default_rng(2).bytes(8000)
    error, close_code = await error_of(server, "?codec=opus", b"\xff\xff" + noise)
    assert (error["code"], error["fatal"], close_code) == ("bad_opus_packet", True, 1003)


async def test_speech_before_undecodable_audio_is_still_finalized(server: LiveServer) -> None:
    clip = one()
    packets = length_prefixed(opus_packets(at_48k(clip)[: int(clip.utterances[0][1] * 48_000)]))
    async with connect(f"{server.url}/ws/stream?codec=opus&language=en") as socket:
        await socket.send(packets)
        await socket.send(b"\xff\xff" + bytes(100))
        said = await listen(socket)
    assert words(said.text) == words(clip.text)
    assert [e["type"] for e in said.events[-2:]] in (["ack", "error"], ["final", "error"])
    assert said.close_code == 1003


async def test_a_pcm_stream_of_odd_length_gets_an_error_and_every_word(server: LiveServer) -> None:
    clip = one()
    said = await say(server.url, messages(pcm16(clip.samples()) + b"\x00", 3001), EN)
    check_events(said)
    assert words(said.text) == words(clip.text)
    (error,) = said.of("error")
    assert (error["code"], error["fatal"]) == ("odd_pcm_length", False)


async def test_garbage_between_audio_harms_nothing(server: LiveServer) -> None:
    clip = one()
    garbage = [
        "",
        "{",
        "[]",
        "null",
        '{"type":"dance"}',
        '{"type":7}',
        "[" * 5000,
        '{"type":"ping","id":[]}',
        "\ud83d\ude00",
    ]
    async with connect(f"{server.url}/ws/stream") as socket:
        await socket.send("not json")
        await socket.send('{"type":"start","codec":"pcm_s16le","language":"en"}')
        for i, message in enumerate(messages(pcm16(clip.samples()))):
            await socket.send(message)
            await socket.send(garbage[i % len(garbage)])
        await socket.send('{"type":"ping","id":"p1"}')
        await socket.send('{"type":"start","language":"de"}')
        await socket.send('{"type":"stop"}')
        said = await listen(socket)
    assert words(said.text) == words(clip.text)
    errors = said.of("error")
    assert not any(e["fatal"] for e in errors)
    assert {e["code"] for e in errors} == {"bad_json", "unknown_type", "already_started"}
    assert [p["id"] for p in said.of("pong")] == ["p1"]
    assert said.close_code == 1000


async def test_too_large_a_message_ends_its_connection_only(server: LiveServer) -> None:
    async with connect(f"{server.url}/ws/stream?codec=pcm_s16le") as socket:
        await socket.send(bytes(2**20 + 2))
        said = await listen(socket)
    assert said.close_code == 1009
    assert words((await say(server.url, messages(pcm16(one().samples())))).text) == words(one().text)


async def test_a_message_in_thousands_of_pieces_ends_its_connection_only(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    before = server.live.n_sessions
    socket = await connect(f"{server.url}/ws/stream?{EN}")
    socket.transport.write(b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 6000)
    await asyncio.wait_for(socket.wait_closed(), 10)
    assert socket.close_code == 1009
    await asyncio.sleep(0.4)  # a session would be there by now
    assert server.live.n_sessions <= before  # one of a test before may just have ended
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []


async def test_stop_without_audio_is_an_empty_session(server: LiveServer) -> None:
    said = await say(server.url, [], "")
    assert [e["type"] for e in said.events if e["type"] != "status"] == ["ready", "done"]
    assert said.close_code == 1000


@pytest.mark.parametrize(
    "message", ['{"type":"resume"}', '{"type":"resume","session":"x","token":"y","last_event":-1}']
)
async def test_a_resume_without_sense(server: LiveServer, message: str) -> None:
    error, close_code = await error_of(server, "", message)
    assert (error["code"], close_code) == ("bad_resume", 4400)


async def test_another_path_names_the_right_one(server: LiveServer) -> None:
    """It speaks WhisperLive, which a client of this protocol has to be told."""
    async with connect(f"{server.url}/elsewhere?codec=pcm_s16le") as socket:
        await socket.send(bytes(16_000))
        said = await listen(socket)
    assert "/ws/stream" in said.events[0]["message"]
    assert said.close_code == 1000


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_a_full_server_says_when_to_come_back(server: LiveServer) -> None:
    async with live_server(limits=LiveLimits(max_sessions=1, retry_after_s=3.0), beside=server) as small:
        first = await connect(f"{small.url}/ws/stream?codec=pcm_s16le")
        await first.recv()
        error, close_code = await error_of(small, "?codec=pcm_s16le")
        assert (error["code"], error["retry_after_s"], close_code) == ("full", 3.0, 1013)
        await first.close()
        await until(lambda: small.live.n_sessions == 0)
        assert (await say(small.url, [])).close_code == 1000


async def test_an_idle_client_gets_its_last_words_and_is_closed(server: LiveServer) -> None:
    async with live_server(limits=LiveLimits(idle_s=0.5, heartbeat_s=0.2), beside=server) as hasty:
        clip = one()
        speech = clip.samples()[: int(clip.utterances[0][1] * 16_000)]
        said = await say(hasty.url, messages(pcm16(speech)), EN, stop=False)
    assert words(said.text) == words(clip.text)
    assert (said.events[-1]["code"], said.close_code) == ("idle", 4408)
    assert said.of("heartbeat")


async def test_a_server_that_shuts_down_tells_what_was_said_and_closes_1012(server: LiveServer) -> None:
    async with live_server(beside=server) as ending:
        clip = one()
        speech = clip.samples()[: int(clip.utterances[0][1] * 16_000)]
        async with connect(f"{ending.url}/ws/stream?codec=pcm_s16le&language=en") as socket:
            said = Conversation([json.loads(await socket.recv())])
            for message in messages(pcm16(speech)):
                await socket.send(message)
            await until(lambda: any(s.received == len(messages(pcm16(speech))) for s in ending.live._registry.sessions))
            await asyncio.gather(ending.live.drain(10.0), listen(socket, said))
        assert said.of("go_away")
        assert words(said.text) == words(clip.text)
        assert said.close_code == 1012
        error, close_code = await error_of(ending, "?codec=pcm_s16le")
        assert (error["code"], close_code) == ("shutting_down", 1012)


async def test_who_may_not_come_in_is_told_so(server: LiveServer) -> None:
    def admit(headers: object, query: object, origin: str | None) -> None:
        if origin is not None:
            raise Unauthorized("not from there", code="origin_refused")
        raise Unauthorized("no key", code="key_missing")

    async with live_server(admit=admit, beside=server) as guarded:
        error, close_code = await error_of(guarded, "?codec=pcm_s16le")
        assert (error["code"], close_code) == ("key_missing", 4401)
        async with connect(f"{guarded.url}/ws/stream", origin="https://evil.example") as socket:  # type: ignore[arg-type]
            said = await listen(socket)
        assert (said.events[0]["code"], said.close_code) == ("origin_refused", 1008)
