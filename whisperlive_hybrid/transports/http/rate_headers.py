"""What a client has left of its requests, in headers, as OpenAI's API has them.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

from __future__ import annotations

from whisperlive_hybrid.ops.rates import Verdict


def rate_headers(verdict: Verdict) -> dict[str, str]:
    """Of an answer to a request that was counted."""
    return {
        "x-ratelimit-limit-requests": str(verdict.limit),
        "x-ratelimit-remaining-requests": str(verdict.remaining),
        "x-ratelimit-reset-requests": duration(verdict.reset_s),
    }


def duration(seconds: float) -> str:
    """As OpenAI writes them, which is as Go does: 20ms, 7.66s, 6m0s."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 2), 60)
    shown = f"{rest:.2f}".rstrip("0").rstrip(".")
    return f"{minutes:.0f}m{shown}s" if minutes else f"{shown}s"
