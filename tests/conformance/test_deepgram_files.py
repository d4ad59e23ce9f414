"""Deepgram's own Python client, unmodified, for files against the real server; and requests that no client writes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clips import DATA, Clip, clips, words
from tests.support.http_server import HttpServer, http_server
from tests.support.live_server import pcm16
from tests.support.packages import python_environment

pytestmark = pytest.mark.timeout(240)

CLIENT = Path(__file__).parent / "clients" / "deepgram_sdk.py"
REQUIREMENT = "deepgram-sdk==7.17.0"


def deepgram_python() -> Path:
    """A Python with Deepgram's client; what that needs the tests' own environment has."""
    return python_environment("deepgram", without_dependencies=[REQUIREMENT], on_top=True)


def run_client(**call: Any) -> dict[str, Any]:
    """Have the client carry out a call; what it says of the result or the error."""
    ran = subprocess.run(
        [deepgram_python(), CLIENT], input=json.dumps(call), capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def files_url() -> Iterator[str]:
    """A web server with the tests' clips."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(DATA))) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, files_url: str) -> Iterator[HttpServer]:
    allowed = files_url.removeprefix("http://")
    folder = tmp_path_factory.mktemp("deepgram") / "uploads"
    with http_server(folder, max_upload_mb=2, api_key="right", url_allow_hosts=allowed) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: HttpServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, headers={"Authorization": "Token right"}) as http:
        yield http


def call(server: HttpServer, **given: Any) -> dict[str, Any]:
    return run_client(**{"http": server.url, "socket": server.url, "key": "right", "call": "file", **given})


def listen(client: httpx.Client, audio: bytes, **params: Any) -> httpx.Response:
    return client.post("/v1/listen", params=params, content=audio, headers={"Content-Type": "audio/flac"})


def alternative(body: dict[str, Any]) -> dict[str, Any]:
    """The one alternative of the one channel."""
    ((found,),) = ([*c["alternatives"]] for c in body["results"]["channels"])
    return found  # type: ignore[no-any-return]


def test_a_file(server: HttpServer, clip: Clip) -> None:
    options = {"model": "nova-3", "language": "en-US", "smart_format": True, "tag": ["a", "b"], "extra": "who:me"}
    body = call(server, path=str(clip.path), options=options)["result"]
    heard, metadata = alternative(body), body["metadata"]

    assert body["class"] == "ListenV1Response"
    assert words(heard["transcript"]) == words(clip.text)
    assert 0 < heard["confidence"] <= 1
    assert [w["word"] for w in heard["words"]] == words(clip.text)
    assert " ".join(w["punctuated_word"] for w in heard["words"]) == heard["transcript"]
    assert all(0 <= w["start"] <= w["end"] <= clip.duration_s + 0.1 for w in heard["words"])
    assert metadata["sha256"] == hashlib.sha256(clip.path.read_bytes()).hexdigest()
    assert metadata["duration"] == pytest.approx(clip.duration_s, abs=0.1)
    assert (metadata["channels"], metadata["tags"], metadata["extra"]) == (1, ["a", "b"], {"who": "me"})
    assert metadata["request_id"] and metadata["created"].endswith("Z")
    (model,) = metadata["models"]
    assert metadata["model_info"][model]["name"] == "digits"


def test_an_address(server: HttpServer, files_url: str, clip: Clip) -> None:
    body = call(server, call="address", address=f"{files_url}/{clip.path.name}", options={"model": "digits"})["result"]

    assert words(alternative(body)["transcript"]) == words(clip.text)


def test_an_address_that_must_not_be_fetched(server: HttpServer) -> None:
    said = call(server, call="address", address="http://127.0.0.1:9/a.flac", options={})

    assert (said["error"]["class"], said["error"]["status"]) == ("BadRequestError", 400)
    assert said["error"]["body"]["err_code"] == "Bad Request"


def test_a_wrong_key(server: HttpServer, clip: Clip) -> None:
    error = call(server, path=str(clip.path), options={}, key="wrong")["error"]

    assert error["status"] == 401
    assert error["body"].keys() == {"err_code", "err_msg", "request_id"}
    assert error["body"]["err_code"] == "INVALID_AUTH"


def test_what_cannot_be_decoded(server: HttpServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"%PDF-1.7" * 99)
    error = call(server, path=str(tmp_path / "a"), options={})["error"]

    assert (error["class"], error["body"]["err_code"]) == ("BadRequestError", "Bad Request")
    assert error["body"]["err_msg"].startswith("Bad Request: ")


def test_without_punctuation(client: httpx.Client, clip: Clip) -> None:
    heard = alternative(listen(client, clip.path.read_bytes()).json())

    assert heard["transcript"] == " ".join(words(clip.text))
    assert all("punctuated_word" not in w for w in heard["words"])


def test_with_punctuation(client: httpx.Client, clip: Clip) -> None:
    heard = alternative(listen(client, clip.path.read_bytes(), punctuate="true").json())

    assert heard["transcript"] == clip.text
    assert "paragraphs" not in heard


def test_paragraphs_and_utterances(client: httpx.Client) -> None:
    talk = next(c for c in clips("en", conversations=True) if c.duration_s < 30)
    body = listen(client, talk.path.read_bytes(), paragraphs="true", utterances="true", utt_split="1.0").json()
    heard, utterances = alternative(body), body["results"]["utterances"]
    paragraphs = heard["paragraphs"]["paragraphs"]
    texts = [s["text"] for p in paragraphs for s in p["sentences"]]

    assert " ".join(texts) == heard["transcript"] == " ".join(u["transcript"] for u in utterances)
    assert sum(p["num_words"] for p in paragraphs) == len(heard["words"])
    assert [w for u in utterances for w in u["words"]] == heard["words"]
    assert len(utterances) > 1 and len({u["id"] for u in utterances}) == len(utterances)
    assert all(b["start"] - a["end"] >= 1.0 for a, b in pairwise(utterances))


@pytest.mark.parametrize("clip", [clips("de")[0], clips("es")[0]], ids=lambda c: c.path.stem)
def test_languages(client: httpx.Client, clip: Clip) -> None:
    audio = clip.path.read_bytes()
    found = listen(client, audio, detect_language="true").json()["results"]["channels"][0]
    among = listen(client, audio, detect_language=["en", clip.language]).json()["results"]["channels"][0]
    multi = alternative(listen(client, audio, language="multi").json())

    assert found["detected_language"] == among["detected_language"] == clip.language
    assert 0.5 < found["language_confidence"] <= 1
    assert multi["languages"] == [clip.language]
    assert words(multi["transcript"]) == words(clip.text)


@pytest.mark.parametrize("encoding", ["linear16", "mulaw", "alaw", "linear32"])
def test_samples_without_a_header(client: httpx.Client, clip: Clip, encoding: str) -> None:
    pcm = pcm16(clip.samples())
    data = {
        "linear16": pcm,
        "linear32": clip.samples().astype("<f4").tobytes(),
        "mulaw": g711(pcm, "pcm_mulaw"),
        "alaw": g711(pcm, "pcm_alaw"),
    }[encoding]
    answer = listen(client, data, encoding=encoding, sample_rate=16000, channels=1, language="en")

    assert words(alternative(answer.json())["transcript"]) == words(clip.text)
    assert answer.json()["metadata"]["duration"] == pytest.approx(clip.duration_s, abs=0.1)


def g711(pcm: bytes, codec: str) -> bytes:
    """16-bit samples as FFmpeg writes them in G.711."""
    context = av.CodecContext.create(codec, "w")
    context.sample_rate, context.layout, context.format = 16_000, "mono", "s16"  # type: ignore[attr-defined]
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2")[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = 16_000
    return b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)])  # type: ignore[attr-defined]


def test_keywords_and_models(client: httpx.Client, clip: Clip) -> None:
    # A prime may sway a model this small, so only most of the words are asked for.
    primed = listen(client, clip.path.read_bytes(), keywords=["six:2", "nine:-5"], keyterm="zero", model="whisper")
    assert len(set(words(alternative(primed.json())["transcript"])) & set(words(clip.text))) >= 2
    unknown = listen(client, clip.path.read_bytes(), model="no-such-model")
    assert (unknown.status_code, unknown.json()["err_code"]) == (400, "Bad Request")


def test_speakers(client: httpx.Client) -> None:
    talk = next(c for c in clips("en", conversations=True) if c.duration_s < 30)
    body = listen(client, talk.path.read_bytes(), diarize="true", utterances="true").json()
    heard, told = alternative(body)["words"], body["metadata"].get("warnings", [])

    # Where no speakers can be told apart the text comes all the same, and says so.
    assert all(isinstance(w.get("speaker"), int) for w in heard) or told[0]["parameter"] == "diarize"


def test_what_has_no_effect_is_told(client: httpx.Client, clip: Clip) -> None:
    options = {"numerals": "true", "profanity_filter": "false", "filler_words": "true", "mip_opt_out": "true"}
    body = listen(client, clip.path.read_bytes(), **options).json()

    assert [w["parameter"] for w in body["metadata"]["warnings"]] == ["filler_words", "numerals"]


@pytest.mark.parametrize(
    "params",
    [
        {"redact": "pci"},
        {"callback": "https://example.org"},
        {"summarize": "v2"},
        {"multichannel": "true"},
        {"detect_entities": "true"},
        {"search": "one"},
        {"language": "klingon"},
        {"punctuate": "perhaps"},
        {"utt_split": "nan"},
        {"encoding": "linear16", "sample_rate": "1"},
        {"channels": "99"},
        {"detect_language": "klingon"},
        {"keyterm": ["x"] * 201},
    ],
)
def test_wrong_parameters(client: httpx.Client, clip: Clip, params: dict[str, Any]) -> None:
    answer = listen(client, clip.path.read_bytes(), **params)
    body = answer.json()

    assert answer.status_code == 400, body
    assert body["err_code"] == "Bad Request"
    assert answer.headers["dg-error"] == body["err_msg"]
    assert answer.headers["dg-request-id"] == body["request_id"] == answer.headers["x-request-id"]


def test_features_that_are_not_wanted(client: httpx.Client, clip: Clip) -> None:
    options = {"redact": "false", "summarize": "false", "multichannel": "false", "detect_language": "false"}

    assert listen(client, clip.path.read_bytes(), **options).status_code == 200


def test_other_bodies(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    bodies = [b"{", b"[]", b"{}", b'{"url": 5}', b'{"url": "ftp://a/b"}']
    wrong = [client.post("/v1/listen", content=c, headers=headers) for c in bodies]
    nothing, too_large = client.post("/v1/listen"), listen(client, bytes(2_100_000))

    assert {a.status_code for a in (*wrong, nothing)} == {400}
    assert (too_large.status_code, too_large.json()["err_code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert client.put("/v1/listen").json()["err_code"] == "METHOD_NOT_ALLOWED"


def test_silence(client: httpx.Client) -> None:
    body = listen(client, bytes(32_000), encoding="linear16", paragraphs="true", utterances="true").json()

    heard = alternative(body)
    assert (heard["transcript"], heard["confidence"], heard["words"]) == ("", 0.0, [])
    assert (heard["paragraphs"]["paragraphs"], body["results"]["utterances"]) == ([], [])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    params=st.dictionaries(
        st.sampled_from(["encoding", "sample_rate", "language", "keyterm", "utt_split", "model", "diarize", "extra"]),
        st.text(max_size=12) | st.sampled_from(["linear16", "true", "mulaw"]),
        max_size=4,
    ),
    audio=st.binary(max_size=64),
)
def test_no_request_is_answered_by_a_fault(client: httpx.Client, params: dict[str, str], audio: bytes) -> None:
    answer = listen(client, audio, **params)
    assert answer.status_code in (200, 400), answer.text
