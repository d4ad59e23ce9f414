"""From names to folders, with real files; no network is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants as hub_constants

from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.device import GIB, Device
from whisperlive_hybrid.errors import ModelUnavailable

CPU = Device("cpu", 0, "CPU", "int8", 1, 8, None)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)


def gpu(memory_gib: float) -> Device:
    return Device("cuda", 0, "GPU", "float16", 1, 16, int(memory_gib * GIB))


def put_in_cache(cache: Path, repository: str) -> Path:
    """A cached copy of the digits model under another name."""
    base = cache / ("models--" + repository.replace("/", "--"))
    snapshot = base / "snapshots" / "abc"
    shutil.copytree(models.BUNDLED, snapshot)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text("abc")
    return snapshot


def test_the_bundled_model_is_complete(tmp_path: Path) -> None:
    located = models.locate("digits", CPU, tmp_path, None)
    assert (located.name, located.path, located.note) == ("digits", models.BUNDLED, None)


def test_auto_without_a_hub_is_digits_and_says_so(tmp_path: Path, offline: None) -> None:
    located = models.locate("auto", CPU, tmp_path, None)
    assert located.name == "digits"
    assert located.note is not None
    assert "digits only" in located.note
    assert "base" in located.note


def test_auto_takes_what_the_cache_has(tmp_path: Path, offline: None) -> None:
    snapshot = put_in_cache(tmp_path, "Systran/faster-whisper-base")
    located = models.locate("auto", CPU, tmp_path, None)
    assert (located.name, located.path, located.note) == ("base", snapshot, None)
    assert models.locate("base", CPU, tmp_path, None).path == snapshot
    assert models.locate("Systran/faster-whisper-base", CPU, tmp_path, None).name == "base"


def test_what_auto_stands_for() -> None:
    assert [models.preferred(d) for d in (CPU, gpu(4), gpu(6), gpu(80))] == [
        "base",
        "small",
        "large-v3-turbo",
        "large-v3-turbo",
    ]


def test_a_model_that_cannot_be_had_has_three_ways_out(tmp_path: Path, offline: None) -> None:
    for name in ("small", "someone/some-model", "no-such-size", "/no/such/folder"):
        with pytest.raises(ModelUnavailable) as error:
            models.locate(name, CPU, tmp_path, None)
        assert name.split("/")[-1] in error.value.message
        assert len(error.value.ways_out) == 3


def test_a_local_folder_is_named_after_itself(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    shutil.copytree(models.BUNDLED, folder)
    assert models.locate(str(folder), CPU, tmp_path, None).name == "my-model"
    assert models.canonical(str(folder)) == "my-model"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: (f / "model.bin").unlink(), "no model.bin"),
        (lambda f: (f / "model.bin").rename(f / "model.safetensors"), "Transformers model"),
        (lambda f: (f / "model.bin").write_bytes(b"\x06\0\0\0\x10\0TransformerSpec"), "not a CTranslate2 Whisper"),
        (lambda f: (f / "model.bin").write_bytes(b""), "not a CTranslate2 Whisper"),
        (lambda f: (f / "vocabulary.json").unlink(), "incomplete"),
    ],
)
def test_folders_that_are_no_model_say_why(tmp_path: Path, change: object, complaint: str) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(models.BUNDLED, folder)
    change(folder)  # type: ignore[operator]
    with pytest.raises(ModelUnavailable, match=complaint):
        models.locate(str(folder), CPU, tmp_path, None)


def test_a_broken_tokenizer_says_so(tmp_path: Path, offline: None) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json cannot be read"):
        models.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"has no tokenizer\.json"):
        models.load_tokenizer(tmp_path)


@pytest.mark.parametrize(("n_tokens", "suffix"), [(51864, ".en"), (51865, ""), (51866, "")])
@pytest.mark.parametrize("kind", ["json", "txt"])
def test_without_a_tokenizer_openais_for_its_languages_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_tokens: int, suffix: str, kind: str
) -> None:
    tokens = [f"<{i}>" for i in range(n_tokens)]
    text = json.dumps(tokens) if kind == "json" else "".join(f"{t}\n" for t in tokens)
    (tmp_path / f"vocabulary.{kind}").write_text(text)
    monkeypatch.setattr(models, "hub_reachable", lambda: True)
    asked: list[str] = []

    class Hub:
        @staticmethod
        def from_pretrained(name: str) -> None:
            asked.append(name)
            raise Exception("no such thing")  # the library's own kind of error

    monkeypatch.setattr(models.tokenizers, "Tokenizer", Hub)
    with pytest.raises(ModelUnavailable, match="no such thing"):
        models.load_tokenizer(tmp_path)
    assert asked == ["openai/whisper-tiny" + suffix]


def test_mel_bands_come_from_the_model(tmp_path: Path) -> None:
    assert models.mel_bands(models.BUNDLED) == 80
    assert models.mel_bands(tmp_path) is None
    (tmp_path / "preprocessor_config.json").write_text('{"feature_size": 128}')
    assert models.mel_bands(tmp_path) == 128
    (tmp_path / "preprocessor_config.json").write_text("[]")
    assert models.mel_bands(tmp_path) is None


@pytest.mark.parametrize(
    "name",
    [
        "whisper-1",
        "whisper",
        "gpt-live-transcribe",
        "gpt-realtime-whisper",
        "gpt-4o-mini-transcribe-2025-12-15",
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
        "gpt-4o-transcribe-diarize",
        "gpt-transcribe",
        "gpt-realtime-whisper",
    ],
)
def test_openai_names(name: str) -> None:
    assert models.is_openai_name(name)


@pytest.mark.parametrize("name", ["gpt-4o", "whisper-2", "base", "gpt-4o-transcribe/../x"])
def test_other_names_are_not_openais(name: str) -> None:
    assert not models.is_openai_name(name)


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        ("large", "large-v3"),
        ("turbo", "large-v3-turbo"),
        ("Systran/faster-whisper-tiny.en", "tiny.en"),
        ("openai/whisper-small", "small"),
        ("someone/their-model", "someone/their-model"),
        ("digits", "digits"),
    ],
)
def test_one_name_for_each_model(name: str, same_as: str) -> None:
    assert models.canonical(name) == same_as


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/passwd", "a/b/c", "./x/y", "nope"])
def test_paths_are_no_hub_ids(name: str) -> None:
    assert models.hub_id(name) is None
