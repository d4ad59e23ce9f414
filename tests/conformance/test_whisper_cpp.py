"""whisper.cpp's server: its documented requests, by curl where there is one, and what its clients read."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import wave
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clips import Clip, clips, words
from tests.support.http_server import HttpServer, http_server
from tests.support.packages import give_up
from whisperlive_hybrid.transports.http.whisper_cpp import LOADED, model_of_file

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("cpp") / "uploads", max_upload_mb=2) as running:
        yield running


def infer(client: httpx.Client, clip: Clip, **fields: Any) -> httpx.Response:
    return client.post("/inference", files={"file": (clip.path.name, clip.path.read_bytes())}, data=fields)


def test_the_example_of_its_readme(server: HttpServer, clip: Clip) -> None:
    if shutil.which("curl") is None:
        give_up("curl is not installed")
    fields = ["temperature=0.0", "temperature_inc=0.2", "response_format=json"]
    command = ["curl", "-sS", f"{server.url}/inference", "-H", "Content-Type: multipart/form-data"]
    command += ["-F", f"file=@{clip.path}", *(part for field in fields for part in ("-F", field))]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)

    assert answer.keys() == {"text"}
    assert words(answer["text"]) == words(clip.text)
    assert answer["text"].endswith("\n")


@pytest.mark.parametrize(
    ("response_format", "kind", "start"),
    [
        ("text", "text/plain", ""),
        ("srt", "application/x-subrip", "1\n00:00:"),
        ("vtt", "text/vtt", "WEBVTT\n\n00:00:"),
        ("json", "application/json", '{"text":'),
    ],
)
def test_formats(client: httpx.Client, clip: Clip, response_format: str, kind: str, start: str) -> None:
    answer = infer(client, clip, response_format=response_format)

    assert answer.headers["content-type"].startswith(kind)
    assert answer.text.startswith(start)
    if response_format == "text":
        assert words(answer.text) == words(clip.text)


def test_verbose_json(client: httpx.Client, clip: Clip) -> None:
    body = infer(client, clip, response_format="verbose_json", language="auto").json()
    segments = body["segments"]

    assert (body["task"], body["language"], body["detected_language"]) == ("transcribe", "english", "english")
    assert body["duration"] == pytest.approx(clip.duration_s, abs=0.1)
    assert body["language_probabilities"] == {"en": body["detected_language_probability"]}
    assert words(body["text"]) == words(clip.text)
    assert [s["id"] for s in segments] == list(range(len(segments)))
    assert all(s["start"] <= s["end"] and s["tokens"] for s in segments)
    assert words(" ".join(w["word"] for s in segments for w in s["words"])) == words(clip.text)
    assert {"temperature", "avg_logprob", "no_speech_prob"} <= segments[0].keys()


def test_times_can_be_left_out(client: httpx.Client, clip: Clip) -> None:
    def first(**fields: str) -> dict[str, Any]:
        segments: list[dict[str, Any]] = infer(client, clip, response_format="verbose_json", **fields).json()[
            "segments"
        ]
        return segments[0]

    bare, no_words = first(no_timestamps="true"), first(token_timestamps="false")
    assert not {"start", "end", "words"} & bare.keys()
    assert "words" not in no_words and "start" in no_words


def test_translate_and_languages(client: httpx.Client) -> None:
    clip = clips("de")[0]
    translated = infer(client, clip, translate="true", language="de").json()["text"]
    detected = infer(client, clip, language="en", detect_language="true", response_format="verbose_json").json()

    assert words(translated) == words(clip.translation or "")
    assert detected["language"] == "german"


@pytest.mark.parametrize(
    "fields",
    [
        {"beam_size": "-1", "best_of": "-1", "temperature": "0", "temperature_inc": "0"},
        {"beam_size": "1", "best_of": "1", "logprob_thold": "-1.0", "no_speech_thold": "0.6", "entropy_thold": "2.4"},
        {"vad": "true", "vad_threshold": "0.5", "vad_min_speech_duration_ms": "100", "vad_samples_overlap": "0.1"},
        {"vad_min_silence_duration_ms": "100", "vad_max_speech_duration_s": "3.4e38", "vad_speech_pad_ms": "30"},
        {"offset_t": "0", "duration": "0", "offset_n": "0", "max_len": "60", "split_on_word": "true", "audio_ctx": "0"},
        {"max_context": "64", "suppress_nst": "true", "debug_mode": "false", "word_thold": "0.01", "unheard_of": "1"},
        {"diarize": "true"},
        {"model": "digits"},
    ],
)
def test_options(client: httpx.Client, clip: Clip, fields: dict[str, str]) -> None:
    assert words(infer(client, clip, language="en", **fields).json()["text"]) == words(clip.text)


def test_the_model_and_speakers_that_are_asked_for(client: httpx.Client, clip: Clip) -> None:
    missing = infer(client, clip, model="none/such")
    assert (missing.status_code, missing.json().keys()) == (404, {"error"})
    body = infer(client, clip, response_format="verbose_json", diarize="true").json()
    # Where no speakers can be told apart the text comes all the same, and says so.
    assert all("speaker" in s for s in body["segments"]) or body["warning"]
    plain = infer(client, clip, response_format="verbose_json").json()
    assert not any("speaker" in s for s in plain["segments"]) and "warning" not in plain


def test_a_prompt(client: httpx.Client, clip: Clip) -> None:
    # A prime may sway a model this small, so only most of the words are asked for.
    heard = words(infer(client, clip, prompt="six nine", carry_initial_prompt="true").json()["text"])
    assert len(set(heard) & set(words(clip.text))) >= 2


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": "docx"},
        {"temperature": "warm"},
        {"beam_size": "many"},
        {"language": "klingon"},
        {"translate": "perhaps"},
        {"offset_t": "5000"},
        {"duration": "1000"},
        {"tinydiarize": "true"},
        {"vad_threshold": "nan"},
    ],
)
def test_wrong_options(client: httpx.Client, clip: Clip, fields: dict[str, str]) -> None:
    answer = infer(client, clip, **fields)

    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}
    assert next(iter(fields)) in answer.json()["error"] or "language" in answer.json()["error"]


def test_files_that_are_none(client: httpx.Client) -> None:
    missing = client.post("/inference", files={"other": (None, "x")})
    nothing, noise = (client.post("/inference", files={"file": ("a.wav", c)}) for c in (b"", b"%PDF-1.7" * 99))
    too_large = client.post("/inference", files={"file": bytes(2_100_000)})

    assert missing.json() == {"error": "no 'file' field in the request"}
    assert [a.status_code for a in (missing, nothing, noise, too_large)] == [400, 400, 400, 413]
    assert all(isinstance(a.json()["error"], str) for a in (nothing, noise, too_large))


def test_silence(client: httpx.Client) -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))

    answer = client.post("/inference", files={"file": ("a.wav", out.getvalue())})
    assert answer.json() == {"text": ""}


def test_load(client: httpx.Client) -> None:
    loaded = client.post("/load", files={"model": (None, "digits")})
    by_form = client.post("/load", data={"model": "digits"})
    unknown = client.post("/load", files={"model": (None, "models/ggml-no-such.bin")})
    nothing = client.post("/load")

    assert (loaded.status_code, loaded.text, by_form.text) == (200, LOADED, LOADED)
    assert unknown.status_code == 400 and unknown.json()["error"].startswith("model not found!")
    assert nothing.json() == {"error": "no 'model' field in the request"}


def test_names_of_ggml_files() -> None:
    names = [
        "models/ggml-base.en.bin",
        "C:\\m\\ggml-large-v3-turbo-q5_0.bin",
        "ggml-tiny-q8_0.bin",
        "org/name",
        "small",
    ]
    assert [model_of_file(n) for n in names] == ["base.en", "large-v3-turbo", "tiny", "org/name", "small"]


def test_keys_and_methods(tmp_path_factory: pytest.TempPathFactory, client: httpx.Client) -> None:
    with http_server(tmp_path_factory.mktemp("keys") / "uploads", api_key="right") as guarded:
        refused = httpx.post(guarded.url + "/inference", files={"file": b"x"})

    assert (refused.status_code, refused.json().keys()) == (401, {"error"})
    assert (client.get("/inference").status_code, client.get("/inference").json().keys()) == (405, {"error"})


def test_health(client: httpx.Client) -> None:
    assert client.get("/health").json()["status"] == "ok"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.dictionaries(
        st.sampled_from(["temperature", "temperature_inc", "language", "beam_size", "vad_threshold", "offset_t", "x"]),
        st.text(max_size=12) | st.floats().map(str),
        max_size=5,
    ),
    audio=st.binary(max_size=64),
)
def test_no_request_is_answered_by_a_fault(client: httpx.Client, fields: dict[str, str], audio: bytes) -> None:
    answer = client.post("/inference", files={"file": ("a", audio)}, data=fields)
    assert answer.status_code == 400 and answer.json()["error"]
