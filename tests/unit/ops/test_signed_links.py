"""Links that open one path for a while."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.errors import Unauthorized
from whisperlive_hybrid.ops.signed_links import is_open, signed_link

NOW = 1_700_000_000.0
KEYS = ("alpha", "beta")
PATH = "/api/audio/clip_1/content"


def query_of(link: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(link).query))


def test_a_link_opens_its_path_until_it_expires() -> None:
    for key in KEYS:
        link = signed_link(PATH, key, int(NOW) + 10)
        assert urlsplit(link).path == PATH
        assert key not in link
        assert is_open(PATH, query_of(link), KEYS, NOW + 9)
        with pytest.raises(Unauthorized, match="expired"):
            is_open(PATH, query_of(link), KEYS, NOW + 10)


def test_it_opens_nothing_else() -> None:
    query = query_of(signed_link(PATH, "alpha", int(NOW) + 10))
    assert not is_open("/api/audio/clip_2/content", query, KEYS, NOW)
    assert not is_open(PATH, query, ("gamma",), NOW)
    assert not is_open(PATH, query, (), NOW)
    assert not is_open(PATH, {**query, "expires": str(int(NOW) + 11)}, KEYS, NOW)
    assert not is_open(PATH, {"expires": query["expires"]}, KEYS, NOW)


@given(st.text(max_size=20), st.text(max_size=70))
def test_what_is_made_up_opens_nothing(expires: str, signature: str) -> None:
    assert not is_open(PATH, {"expires": expires, "signature": signature}, KEYS, NOW)
