"""`models gate` from the command line, with the real small model."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from tests.support.clips import clips
from whisperlive_hybrid.cli import exit_codes, gate_trial, main
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.gate import Gate, find_gate, keep_gate, read_gate
from whisperlive_hybrid.engine.loading import gate_of

CLIP = clips("en")[0]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model without a gate."""
    folder = tmp_path / "model"
    shutil.copytree(models.BUNDLED, folder)
    (folder / "gate.json").unlink()
    return folder


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """A folder with one recording and its text."""
    folder = tmp_path / "audio"
    folder.mkdir()
    shutil.copy(CLIP.path, folder / CLIP.path.name)
    (folder / CLIP.path.name).with_suffix(".txt").write_text(CLIP.text)
    return folder


def test_a_gate_is_measured_and_kept_beside_the_model(
    model: Path, audio: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate_trial, "MIN_WORDS", 1)
    (audio / "broken.wav").write_bytes(b"no audio")
    assert main(["models", "gate", str(model), "--audio", str(audio), "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert f"kept in {model / 'gate.json'}" in out
    assert f"finals: {len(CLIP.text.split())} words" in out
    assert "broken.wav" in err
    gate = read_gate(model / "gate.json")
    assert gate.measured["recordings"] == gate.measured["with_text"] == 1


def test_too_few_words_leave_the_gate_as_it_is(model: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = keep_gate(Gate(finals=((500, 500),)), model, "name", None)
    assert main(["models", "gate", str(model), "--audio", str(audio), "--device", "cpu"]) == exit_codes.USAGE
    said = capsys.readouterr().err
    assert f"{len(CLIP.text.split())} words, too few to measure (at least 300)" in said
    assert "The gate stays as it is." in said
    assert read_gate(kept) == Gate(finals=((500, 500),))


def test_without_recordings_nothing_is_measured(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "gate", str(model)]) == exit_codes.USAGE
    assert "--audio" in capsys.readouterr().err
    assert not (model / "gate.json").exists()


def test_a_model_that_cannot_be_written_to_has_its_gate_in_the_cache(model: Path, tmp_path: Path) -> None:
    cache, gate = tmp_path / "cache", Gate(finals=((500, 500),))
    assert find_gate(model, "owner/name", cache) is None
    (model / "gate.json").mkdir()
    kept = keep_gate(gate, model, "owner/name", cache)
    assert kept.parent == cache / "gates"
    assert find_gate(model, "owner/name", cache) == kept
    assert gate_of(models.Located("owner/name", model), cache) == gate
    # Another model of the same name is another model.
    with (model / "model.bin").open("ab") as file:
        file.write(b"more")
    assert find_gate(model, "owner/name", cache) is None


def test_a_new_gate_beside_the_model_replaces_the_one_in_the_cache(model: Path, tmp_path: Path) -> None:
    (model / "gate.json").mkdir()
    old = keep_gate(Gate(finals=((500, 500),)), model, "name", tmp_path)
    (model / "gate.json").rmdir()
    assert keep_gate(Gate(), model, "name", tmp_path) == model / "gate.json" == find_gate(model, "name", tmp_path)
    assert not old.exists()


def test_a_gate_that_cannot_be_read_is_told_and_none(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    (model / "gate.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        assert gate_of(models.Located("name", model)) == Gate()
    assert "gate.json cannot be used" in caplog.text


def test_the_bundled_model_has_a_gate() -> None:
    gate = gate_of(models.Located("digits", models.BUNDLED))
    assert gate.finals and gate.measured
