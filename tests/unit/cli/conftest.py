from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.logging_state import logging_as_it_was


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """The commands set logging up for a process of their own; here they share the tests'."""
    with logging_as_it_was():
        yield
