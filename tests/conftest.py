"""Fixtures every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast examples are made says more about what else the machine does than about the tests.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

BUNDLED_MODEL = Path(__file__).parent.parent / "whisperlive_hybrid/engine/bundled/digits"


@pytest.fixture(scope="session")
def digits_model_path() -> Path:
    """Folder of the real small model that ships with the package."""
    return BUNDLED_MODEL
