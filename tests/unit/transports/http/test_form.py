"""Form fields: names as clients write them, and every mistake told at once."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.transports.http.errors import SeveralProblems, envelope
from whisperlive_hybrid.transports.http.form import Form


def test_a_field_left_empty_is_a_field_not_sent() -> None:
    form = Form([("language", ""), ("prompt", "  "), ("task", " translate ")])

    assert form.text("language") is None
    assert form.text("prompt") is None
    assert form.choice("task", ("transcribe", "translate")) == "translate"
    form.finish()


@pytest.mark.parametrize(
    "items",
    [
        [("kinds[]", "word"), ("kinds[]", "segment")],
        [("kinds", "word"), ("kinds", "segment")],
        [("kinds[0]", "word"), ("kinds[1]", "segment")],
        [("kinds", "word,segment")],
        [("kinds", '["word", "segment"]')],
    ],
)
def test_lists_in_every_notation(items: list[tuple[str, str]]) -> None:
    assert Form(items).many("kinds") == ("word", "segment")


def test_keys_of_an_object_are_fields_of_their_own() -> None:
    form = Form([("strategy[type]", "server_vad"), ("strategy[threshold]", "0.4")])

    assert form.text("strategy") is None
    assert form.number("strategy[threshold]", 0, 1) == 0.4


def test_all_mistakes_are_told_together() -> None:
    form = Form([("beam_size", "many"), ("temperature", "0.2,7"), ("words", "perhaps"), ("langauge", "en")])
    form.refuse_unknown(["beam_size", "temperature", "words", "language"])
    form.integer("beam_size", 1, 20)
    form.numbers("temperature", 0, 1)
    form.flag("words")

    with pytest.raises(SeveralProblems) as raised:
        form.finish()

    told = envelope(raised.value)["error"]["errors"]
    assert [problem["param"] for problem in told] == ["langauge", "beam_size", "temperature", "words"]
    assert told[0]["code"] == "unknown_option"
    assert "language" in told[0]["accepted"]
    assert told[0]["message"] == "There is no option 'langauge'. Did you mean 'language'?"
    assert told[1]["accepted"] == ["1 to 20"]


def test_what_was_read_before_is_named_among_the_options() -> None:
    form = Form([("keep", "true"), ("zebra", "1")])
    form.drop("keep")
    form.refuse_unknown(["language"])

    with pytest.raises(BadInput) as raised:
        form.finish()

    assert raised.value.accepted == ("language", "keep")
    assert raised.value.message == "There is no option 'zebra'."


def test_one_mistake_stands_alone() -> None:
    form = Form([("task", "sing")])
    form.choice("task", ("transcribe", "translate"))

    with pytest.raises(BadInput) as raised:
        form.finish()

    assert envelope(raised.value) == {
        "success": False,
        "error": {
            "code": "unknown_task",
            "message": "task cannot be 'sing'.",
            "param": "task",
            "accepted": ["transcribe", "translate"],
        },
    }


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e9", "0x1", "", "1 2"])
def test_numbers_out_of_bounds_are_no_numbers(text: str) -> None:
    form = Form([("n", text or "-")])

    assert form.number("n", 0, 10) is None
    with pytest.raises(BadInput):
        form.finish()


def test_the_same_option_twice_with_different_values_is_a_mistake() -> None:
    form = Form([("language", "en"), ("language", "de")])

    assert form.text("language") is None
    with pytest.raises(BadInput, match="2 times"):
        form.finish()


def test_the_same_option_twice_with_one_value_is_none() -> None:
    assert Form([("language", "en"), ("language", "en")]).text("language") == "en"
