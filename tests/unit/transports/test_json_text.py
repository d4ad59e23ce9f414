from __future__ import annotations

import pytest

from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.transports.json_text import MAX_PARTS, json_object


def test_an_object_is_read_from_text_and_from_bytes() -> None:
    assert json_object('{"a": [1, {"b": "ä"}]}') == json_object('{"a": [1, {"b": "ä"}]}'.encode())


def test_long_text_is_no_obstacle() -> None:
    text = "x" * 2_000_000
    assert json_object(f'{{"a": "{text}"}}') == {"a": text}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        ("[1]", "must be a JSON object"),
        ('{"a":[' + "[]," * MAX_PARTS + "[]]}", "has more than"),
        (b'{"a":[' + b"{}," * MAX_PARTS + b"{}]}", "has more than"),
    ],
)
def test_anything_else_is_named(text: str | bytes, fault: str) -> None:
    with pytest.raises(BadInput, match=f"the data (is )?{fault}") as caught:
        json_object(text, "the data")
    assert caught.value.code == "bad_json"
