"""When webhooks are tried again, and where their secret comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisperlive_hybrid.jobs.courier import DELAYS_S, JITTER, SECRET_FILE, Answer, after_try, load_keys
from whisperlive_hybrid.jobs.signing import Secret, new_secret, signed_headers


def test_tries_go_on_for_a_day_ever_more_slowly() -> None:
    failed = Answer(500, "It answers with 500.")
    delays = [after_try(failed, n).delay_s for n in range(1, len(DELAYS_S) + 2)]
    assert delays == [*DELAYS_S, None]
    assert 22 * 3600 < sum(DELAYS_S) < 26 * 3600
    assert after_try(failed, 1, 1.0).delay_s == DELAYS_S[0] * (1 + JITTER)
    assert after_try(Answer(410, "gone", final=True), 1).delay_s is None


def test_a_known_signature() -> None:
    """The specification's example."""
    key = Secret.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1614265330, [key])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("wrong", ["", "whsec_", "whsec_short", "whsec_!!!!", "whsec_" + "A" * 200])
def test_wrong_secrets_are_not_repeated(wrong: str) -> None:
    with pytest.raises(ValueError, match="a secret is whsec_") as raised:
        Secret.parse(wrong)
    assert wrong in ("", "whsec_") or wrong not in str(raised.value)
    assert "key=" not in repr(Secret.parse(new_secret()))


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    (first,) = load_keys(None, tmp_path)
    assert load_keys(None, tmp_path) == (first,)
    assert (tmp_path / SECRET_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [SECRET_FILE]
    new, old = new_secret(), new_secret()
    assert load_keys(f"{new}, {old}", tmp_path) == (Secret.parse(new), Secret.parse(old))
