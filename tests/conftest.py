"""Fixtures every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import httpx

    from tests.support.clips import Clip
    from tests.support.http_server import HttpServer

# How fast examples are made says more about what else the machine does than about the tests.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

BUNDLED_MODEL = Path(__file__).parent.parent / "whisperlive_hybrid/engine/bundled/digits"


@pytest.fixture(scope="session")
def digits_model_path() -> Path:
    """Folder of the real small model that ships with the package."""
    return BUNDLED_MODEL


@pytest.fixture(scope="module")
def client(server: HttpServer) -> Iterator[httpx.Client]:
    """Asks the module's own `server`."""
    import httpx

    with httpx.Client(base_url=server.url, timeout=60) as http:
        yield http


@pytest.fixture
def clip() -> Clip:
    """Spoken English, which the small model reads with a wide margin."""
    from tests.support.clips import clips

    return next(c for c in clips("en") if c.path.stem == "en-05")
