from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from tests.unit.ops.test_auth import KEYED, settings
from whisperlive_hybrid.errors import Unauthorized
from whisperlive_hybrid.ops.auth import check_key
from whisperlive_hybrid.ops.client_secrets import claims_of, issue, signer

NOW = 1_700_000_000.0


def bearer(secret: str) -> CIMultiDict[str]:
    return CIMultiDict(Authorization=f"Bearer {secret}")


def test_a_secret_of_any_known_key_passes_until_it_expires() -> None:
    for key in ("alpha", "beta"):
        secret = issue(key, int(NOW) + 10, {"session": {"a": 1}})
        check_key(KEYED, bearer(secret), {}, now=NOW + 9)
        offered = CIMultiDict({"Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{secret}"})
        check_key(KEYED, offered, {}, now=NOW)
        assert claims_of(secret)["session"] == {"a": 1}
        with pytest.raises(Unauthorized) as caught:
            check_key(KEYED, bearer(secret), {}, now=NOW + 10)
        assert caught.value.code == "secret_expired"


def test_a_secret_is_no_key_where_secrets_are_not_taken() -> None:
    with pytest.raises(Unauthorized):
        check_key(KEYED, bearer(issue("alpha", int(NOW) + 10, {})), {})


@pytest.mark.parametrize("key", ["", "gamma", "alph"])
def test_a_secret_of_another_key_is_unknown(key: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        check_key(KEYED, bearer(issue(key, int(NOW) + 10, {})), {}, now=NOW)
    assert caught.value.code == "key_unknown"


def test_without_keys_anything_will_do() -> None:
    check_key(settings(), bearer("ek_anything"), {}, now=NOW)


def test_no_character_of_a_secret_can_be_changed() -> None:
    secret = issue("alpha", int(NOW) + 10, {})
    for i, was in enumerate(secret):
        changed = secret[:i] + ("A" if was != "A" else "B") + secret[i + 1 :]
        assert signer(changed, ["alpha", "beta"]) is None, i


def test_no_two_are_alike_and_all_fit_into_a_subprotocol() -> None:
    made = {issue("alpha", int(NOW), {"session": {"prompt": "Grüße, 世界"}}) for _ in range(10)}
    assert len(made) == 10
    assert all(re.fullmatch(r"ek_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", secret) for secret in made)


@given(st.text() | st.builds(lambda text: f"ek_{text}.{text}", st.text()))
def test_whatever_is_no_secret_is_neither_signed_nor_says_anything_wrong(text: str) -> None:
    assert signer(text, ["alpha"]) is None
    assert isinstance(claims_of(text), dict)
