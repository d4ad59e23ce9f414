"""whisper-asr-webservice's clients against the real server: Bazarr's requests byte for byte, curl's, forks' options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clips import Clip, clips, words
from tests.support.http_server import HttpServer, http_server
from tests.support.live_server import pcm16

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("asr") / "uploads", max_upload_mb=2) as running:
        yield running


def send(client: httpx.Client, clip: Clip, path: str = "/asr", **params: Any) -> httpx.Response:
    """As curl -F audio_file=@FILE sends it."""
    file = (clip.path.name, clip.path.read_bytes(), "audio/flac")
    return client.post(path, params=params, files={"audio_file": file})


def as_bazarr(client: httpx.Client, path: str, audio: bytes, **params: str) -> httpx.Response:
    """What requests makes of files={"audio_file": BYTES}: the part's own name as its file's, and no content type."""
    head = b'--4f1c\r\nContent-Disposition: form-data; name="audio_file"; filename="audio_file"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=4f1c", "User-Agent": "Subliminal/2.2"}
    return client.post(path, params=params, content=head + audio + b"\r\n--4f1c--\r\n", headers=headers)


def spans(srt: str) -> list[tuple[str, str]]:
    return re.findall(r"^([\d:,]+) --> ([\d:,]+)$", srt, re.MULTILINE)


def test_subtitles_for_bazarr(client: httpx.Client, clip: Clip) -> None:
    samples = pcm16(clip.samples())
    answer = as_bazarr(client, "/asr", samples, task="transcribe", language="en", output="srt", encode="false")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert words(" ".join(answer.text.splitlines()[2::4])) == words(clip.text)
    assert len(spans(answer.text)) >= 1
    assert answer.content.endswith(b"\n")


@pytest.mark.parametrize("clip", [clips("de")[0], clips("es")[0], clips("fr")[0], clips("en")[0]], ids=str)
def test_the_language_for_bazarr(client: httpx.Client, clip: Clip) -> None:
    answer = as_bazarr(client, "/detect-language", pcm16(clip.samples()), encode="false")
    names = {"de": "german", "es": "spanish", "fr": "french", "en": "english"}

    body = answer.json()
    assert body.keys() == {"detected_language", "language_code", "confidence"}
    assert (body["language_code"], body["detected_language"]) == (clip.language, names[clip.language])
    assert 0.5 < body["confidence"] <= 1


def test_a_translation_for_bazarr(client: httpx.Client) -> None:
    clip = clips("es")[0]
    answer = as_bazarr(
        client, "/asr", pcm16(clip.samples()), task="translate", language="es", output="srt", encode="false"
    )

    assert words(" ".join(answer.text.splitlines()[2::4])) == words(clip.translation or "")


def test_a_file_with_a_header_is_heard_as_what_it_is_whatever_encode_says(client: httpx.Client, clip: Clip) -> None:
    answer = as_bazarr(client, "/asr", clip.path.read_bytes(), encode="false", language="en")

    assert words(answer.text) == words(clip.text)


@pytest.mark.parametrize("output", ["txt", "vtt", "srt", "tsv", "json"])
def test_outputs(client: httpx.Client, clip: Clip, output: str) -> None:
    answer = send(client, clip, output=output, language="en")

    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["asr-engine"] == "faster_whisper"
    assert answer.headers["content-disposition"] == f'attachment; filename="en-05.flac.{output}"'
    starts = {"vtt": "WEBVTT\n\n00:00:", "srt": "1\n00:00:", "tsv": "start\tend\ttext\n", "json": '{"text":'}
    assert answer.text.startswith(starts.get(output, ""))
    if output == "txt":
        assert words(answer.text) == words(clip.text)


def test_json(client: httpx.Client, clip: Clip) -> None:
    body = send(client, clip, output="json", word_timestamps="true", vad_filter="true", encode="true").json()
    segments = body["segments"]

    assert words(body["text"]) == words(clip.text)
    assert body["language"] == "en"
    assert [s["id"] for s in segments] == list(range(len(segments)))
    assert words(" ".join(w["word"] for s in segments for w in s["words"])) == words(clip.text)
    assert "speaker" not in segments[0]
    assert "words" not in send(client, clip, output="json").json()["segments"][0]


def test_options_of_forks(client: httpx.Client, clip: Clip) -> None:
    body = send(
        client,
        clip,
        output="json",
        enable_diarization="true",
        min_speakers="1",
        max_speakers="2",
        hotwords="",
        model="digits",
        return_speaker_embeddings="false",
    ).json()

    assert words(body["text"]) == words(clip.text)
    assert all("start" in s and "end" in s for s in body["segments"])
    # Where no speakers can be told apart the text comes all the same, and says so.
    assert all(s.get("speaker") for s in body["segments"]) or body["warning"]


def test_options_as_fields_and_hotwords(client: httpx.Client, clip: Clip) -> None:
    file = {"audio_file": ("a.flac", clip.path.read_bytes())}
    fields = {"output": "json", "task": "transcribe", "language": "", "hotwords": "six", "initial_prompt": "nine"}
    answer = client.post("/asr", files=file, data=fields)

    # A prime may sway a model this small, so only most of the words are asked for.
    assert len(set(words(answer.json()["text"])) & set(words(clip.text))) >= 2


def test_a_translation(client: httpx.Client) -> None:
    clip = clips("de")[0]

    assert words(send(client, clip, task="translate").text) == words(clip.translation or "")


def test_silence(client: httpx.Client) -> None:
    silence = bytes(32_000)

    assert as_bazarr(client, "/asr", silence, encode="false", output="srt").text == ""
    assert as_bazarr(client, "/detect-language", silence, encode="false").json()["language_code"]


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"task": "sing"}, ["query", "task"]),
        ({"language": "klingon"}, ["query", "language"]),
        ({"output": "docx"}, ["query", "output"]),
        ({"encode": "perhaps"}, ["query", "encode"]),
        ({"word_timestamps": "2"}, ["query", "word_timestamps"]),
        ({"diarize": "true", "min_speakers": "many"}, ["query", "min_speakers"]),
    ],
)
def test_wrong_parameters(client: httpx.Client, clip: Clip, params: dict[str, str], place: list[str]) -> None:
    answer = send(client, clip, **params)

    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == place
    assert problem["msg"] and problem["type"]


def test_all_wrong_parameters_are_listed(client: httpx.Client, clip: Clip) -> None:
    problems = send(client, clip, task="sing", output="docx").json()["detail"]

    assert [p["loc"][1] for p in problems] == ["task", "output"]


@pytest.mark.parametrize("path", ["/asr", "/detect-language"])
def test_a_missing_file(client: httpx.Client, path: str) -> None:
    answer = client.post(path, files={"other": (None, "x")})

    assert answer.status_code == 422
    assert answer.json() == {"detail": [{"type": "missing", "loc": ["body", "audio_file"], "msg": "Field required"}]}
    assert client.post(path).status_code == 422


@pytest.mark.parametrize("path", ["/asr", "/detect-language"])
def test_what_cannot_be_decoded(client: httpx.Client, path: str) -> None:
    for content in (b"%PDF-1.7" * 99, b""):
        answer = client.post(path, files={"audio_file": ("a.wav", content)})
        assert answer.status_code == 400
        assert isinstance(answer.json()["detail"], str)


def test_other_refusals(server: HttpServer, client: httpx.Client, clip: Clip) -> None:
    too_large = as_bazarr(client, "/asr", bytes(2_100_000), encode="false")
    no_model = send(client, clip, model="no-such-model")

    assert (too_large.status_code, no_model.status_code) == (413, 404)
    assert client.get("/asr").status_code == 405
    assert client.post("/detect-language", json={}).status_code == 415
    assert all(isinstance(a.json()["detail"], str) for a in (too_large, no_model, client.get("/asr")))


def test_keys(tmp_path_factory: pytest.TempPathFactory, clip: Clip) -> None:
    with (
        http_server(tmp_path_factory.mktemp("keys") / "uploads", api_key="right") as guarded,
        httpx.Client(base_url=guarded.url, timeout=60) as http,
    ):
        refused = send(http, clip)
        taken = http.post(
            "/asr",
            params={"language": "en"},
            files={"audio_file": clip.path.read_bytes()},
            headers={"Authorization": "Bearer right"},
        )

    assert refused.status_code == 401
    assert isinstance(refused.json()["detail"], str)
    assert words(taken.text) == words(clip.text)


def test_paths_of_the_original(client: httpx.Client) -> None:
    assert all(client.get(path).status_code == 200 for path in ("/", "/docs", "/health"))
    assert {"/asr", "/detect-language"} <= client.get("/openapi.json").json()["paths"].keys()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    params=st.dictionaries(
        st.sampled_from(["encode", "task", "language", "output", "word_timestamps", "model", "diarize", "hotwords"]),
        st.text(max_size=12),
        max_size=4,
    ),
    audio=st.binary(max_size=64),
)
def test_no_request_is_answered_by_a_fault(client: httpx.Client, params: dict[str, str], audio: bytes) -> None:
    for path in ("/asr", "/detect-language"):
        answer = as_bazarr(client, path, audio, **params)
        assert answer.status_code in (200, 400, 404, 422), answer.text
