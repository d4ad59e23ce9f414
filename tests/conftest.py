"""Fixtures every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

BUNDLED_MODEL = Path(__file__).parent.parent / "whisperlive_hybrid/engine/bundled/digits"


@pytest.fixture(scope="session")
def digits_model_path() -> Path:
    """Folder of the real small model that ships with the package."""
    return BUNDLED_MODEL
