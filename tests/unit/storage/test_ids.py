"""Names of what is stored."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.storage.ids import is_id, new_id


def test_names_differ_and_sort_by_time() -> None:
    ids = [new_id("clip", 1_700_000_000 + n / 1000) for n in range(100)]
    assert ids == sorted(set(ids))
    assert len({new_id("job", 5.0) for _ in range(100)}) == 100
    assert all(is_id(id, "clip") for id in ids)


@pytest.mark.parametrize(
    "text", ["", "clip_", "clip_../../etc/passwd", "clip_" + "0" * 25, "clip_" + "I" * 26, "clip_a\n"]
)
def test_what_is_no_name(text: str) -> None:
    assert not is_id(text, "clip", "job", "batch", "msg")


def test_of_what_kind() -> None:
    assert is_id(new_id("job"), "job", "batch")
    assert not is_id(new_id("clip"), "job", "batch")
