from __future__ import annotations

import pytest

from whisperlive_hybrid.errors import HybridError, NotFound, Refused, Unauthorized, Unavailable
from whisperlive_hybrid.transports.close_codes import close_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unauthorized("no", code="origin_refused"), 1008),
        (Unauthorized("no", code="host_refused"), 1008),
        (Unauthorized("no", code="key_unknown"), 4401),
        (NotFound("none", kind="job", id="x"), 4404),
        (NotFound("none", kind="batch", id="x"), 4404),
        (NotFound("none", kind="model", id="x"), 4400),
        (Refused("bye", retry_after_s=1.0, code="draining"), 1012),
        (Unavailable("none", code="no_storage"), 1011),
    ],
)
def test_each_error_has_its_code(error: HybridError, code: int) -> None:
    """Those of live audio are in the native wire's own test."""
    assert close_code(error) == code
