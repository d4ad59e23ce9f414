"""The pages as they lie in the package, and what a browser may do on each of them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""Served as it is under /static/."""

PERMISSIONS_POLICY = "microphone=(self), display-capture=(self)"

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """One HTML page with the headers it is to be served with."""

    html: str
    content_security_policy: str

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer, Content-Type apart."""
        return {
            "Content-Security-Policy": self.content_security_policy,
            "Permissions-Policy": PERMISSIONS_POLICY,
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        }


def test_form() -> Page:
    """The page at `/`: one file that also works opened from disk."""
    return _read("test_form.html")


def live() -> Page:
    """The page at `/live`."""
    return _read("live.html")


def jobs() -> Page:
    """The page at `/jobs`."""
    return _read("jobs.html")


def _read(name: str) -> Page:
    html = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return Page(html, content_security_policy(html))


def content_security_policy(html: str) -> str:
    """A policy that allows the server's own files, and the page's inline script and style by their hashes.

    Hashes rather than 'unsafe-inline': text from a file name or a transcript could never run, even if a page put it
    into its markup by mistake. `ws:` and `wss:` are named because older browsers do not count them as 'self', and the
    live listener has a port of its own.
    """
    inline: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        inline[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        [
            "default-src 'self'",
            " ".join(["script-src", "'self'", *inline["script"]]),
            " ".join(["style-src", "'self'", *inline["style"]]),
            "img-src 'self' data:",
            "media-src 'self' blob:",
            "connect-src 'self' ws: wss:",
            "worker-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        ]
    )
