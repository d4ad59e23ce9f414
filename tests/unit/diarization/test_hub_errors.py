"""Each thing that can go wrong with a pipeline from the hub, and what a user is told to do about it."""

from __future__ import annotations

import httpx
import pytest
from huggingface_hub import errors as hub

from whisperlive_hybrid.diarization.hub_errors import unavailable

MODEL = "pyannote/speaker-diarization-community-1"


def response(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", f"https://huggingface.co/{MODEL}"))


def caused(error: Exception) -> Exception:
    try:
        raise ValueError("cannot load") from error
    except ValueError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "token", "says", "way_out"),
    [
        (
            hub.GatedRepoError("403", response=response(403)),
            None,
            "is gated",
            f"conditions at hf.co/{MODEL}",
        ),
        (hub.GatedRepoError("403", response=response(403)), "hf_x", "has not accepted", "accept the conditions"),
        (hub.HfHubHTTPError("401", response=response(401)), "hf_x", "does not know the token", "hf.co/settings/tokens"),
        (hub.RepositoryNotFoundError("404", response=response(404)), None, "There is no", "PYANNOTE_MODEL"),
        (hub.RepositoryNotFoundError("401", response=response(401)), "hf_x", "token in HUGGINGFACE", "settings/tokens"),
        (hub.EntryNotFoundError("404"), "hf_x", "is no pipeline", "config.yaml"),
        (hub.LocalEntryNotFoundError("offline"), "hf_x", "hub cannot be reached", "bundled model needs nothing"),
        (ConnectionRefusedError("refused"), "hf_x", "hub cannot be reached", "bundled"),
        (RuntimeError("size mismatch\nand more"), "hf_x", "cannot be loaded: ValueError: cannot load", "bundled"),
    ],
)
def test_errors_name_what_to_do(error: Exception, token: str | None, says: str, way_out: str) -> None:
    told = unavailable(MODEL, token, caused(error), local=False)

    assert says in told.message
    assert "\n" not in told.message
    assert any(way_out in way for way in told.ways_out), told.ways_out


def test_a_local_folder_is_no_question_of_the_hub() -> None:
    told = unavailable("/models/mine", "hf_x", FileNotFoundError("config.yaml"), local=True)

    assert "/models/mine" in told.message
    assert not any("token" in way and "make" in way for way in told.ways_out)
