from __future__ import annotations

import pytest

from whisperlive_hybrid.ops.rates import RequestRate
from whisperlive_hybrid.transports.http.rate_headers import duration, rate_headers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0ms"), (0.02, "20ms"), (1.0, "1s"), (7.664, "7.66s"), (59.999, "1m0s"), (60.0, "1m0s"), (360.5, "6m0.5s")],
)
def test_durations_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_headers() -> None:
    assert rate_headers(RequestRate(60).take("a", 5.0)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
    }
