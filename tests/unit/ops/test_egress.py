"""Which addresses a URL may lead to."""

from __future__ import annotations

import pytest
from yarl import URL

from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.ops.egress import AllowedHosts, check_target, is_public

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "fe80::1",
    "fe80::1%1",
    "2606:4700::1111%eth0",
    "fc00::1",
    "ff02::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "not an address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("setting", "url", "trusted"),
    [
        ("", "http://files.local/a.wav", False),
        ("files.local", "http://files.local/a.wav", True),
        ("Files.Local", "https://FILES.local/a.wav", True),
        ("files.local", "http://files.local:8000/a.wav", False),
        ("files.local:8000", "http://files.local:8000/a.wav", True),
        ("files.local:8000", "http://files.local/a.wav", False),
        ("files.local", "http://files.local.evil.example/a.wav", False),
        ("files.local", "http://evil.example/?files.local", False),
        ("[::1]:8000", "http://[::1]:8000/a.wav", True),
        ("a.local, b.local", "http://b.local/a.wav", True),
    ],
)
def test_hosts_an_operator_trusts(setting: str, url: str, trusted: bool) -> None:
    assert AllowedHosts.parse(setting).trusts(URL(url)) is trusted


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://10.0.0.1/", "url_not_allowed"),
        ("http://0x7f.1/", "url_not_allowed"),
        ("https://example.org:22/", "url_not_allowed"),
        ("http://no-such-host.invalid/", "url_unreachable"),
        ("file:///etc/passwd", "bad_url"),
        ("http://", "bad_url"),
        ("http://a:99999/", "bad_url"),
        ("http://u@example.org/", "bad_url"),
        ("https://8.8.8.8/" + "a" * 2048, "bad_url"),
    ],
)
async def test_a_target_is_refused_before_it_is_dialled(url: str, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        await check_target(url, AllowedHosts(), param="callback_url")
    assert (refused.value.code, refused.value.param) == (code, "callback_url")


async def test_a_target_that_may_be_dialled() -> None:
    await check_target("https://8.8.8.8/hook?a=1", AllowedHosts(), param="url")
    await check_target("http://127.0.0.1:9000/", AllowedHosts.parse("127.0.0.1:9000"), param="url")
