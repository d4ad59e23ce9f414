from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.live.events import Ack, Event, Final, Heartbeat, Partial, SpeechState
from whisperlive_hybrid.live.replay import EventLog, Numbered


def final(segment: int) -> Final:
    return Final(segment, 0.0, 1.0, f"text {segment}", "en", "m", 1.0)


def take_all(log: EventLog, *, release: bool = True) -> list[Numbered]:
    taken = []
    if release:
        log.release(log.next_number)
    while (numbered := log.take()) is not None:
        taken.append(numbered)
    return taken


def test_events_are_numbered_without_gaps_when_they_are_taken() -> None:
    log = EventLog()
    for event in (SpeechState("started", 0.0, 0), final(0), Heartbeat()):
        log.push(event)
    assert [(n.number, type(n.event)) for n in take_all(log)] == [(1, SpeechState), (2, Final), (3, Heartbeat)]
    assert log.take() is None


def test_a_slow_client_gets_the_newest_tentative_text_all_appended_words_and_every_final() -> None:
    log = EventLog()
    log.push(Ack(1, 0))
    log.push(Partial(0, 0.0, 1.0, "one", " two"))
    log.push(Ack(2, 0))
    log.push(Partial(0, 0.0, 2.0, " two", " three"))
    log.push(Ack(3, 0))
    assert [n.event for n in take_all(log)] == [Partial(0, 0.0, 2.0, "one two", " three"), Ack(3, 0)]
    log.push(Partial(0, 0.0, 3.0, " three", " four"))
    log.push(final(0))
    log.push(Partial(1, 3.0, 4.0, "", "five"))
    assert [n.event for n in take_all(log)] == [final(0), Partial(1, 3.0, 4.0, "", "five")]


def test_a_client_that_comes_back_is_given_what_it_missed_with_the_same_numbers() -> None:
    log = EventLog()
    for segment in range(4):
        log.push(final(segment))
    first = take_all(log)
    log.push(final(4))
    log.rewind(2)
    assert take_all(log) == [*first[2:], Numbered(5, final(4))]
    log.rewind(5)
    assert take_all(log) == []


def test_what_is_no_longer_kept_cannot_be_had() -> None:
    log = EventLog(ring_events=3)
    for segment in range(5):
        log.push(final(segment))
    take_all(log)
    log.rewind(2)
    for impossible in (0, 1, 6):
        with pytest.raises(NotFound) as caught:
            log.rewind(impossible)
        assert caught.value.code == "events_gone"


@settings(deadline=None)
@given(st.data())
def test_however_often_a_connection_breaks_each_number_is_seen_once_and_all_finals_come(data: st.DataObject) -> None:
    log, seen, n_finals = EventLog(), dict[int, Event](), 0
    last = 0
    for _ in range(data.draw(st.integers(1, 30))):
        match data.draw(st.sampled_from(("final", "partial", "ack", "take", "break"))):
            case "final":
                log.push(final(n_finals))
                n_finals += 1
            case "partial":
                log.push(Partial(n_finals, 0.0, 1.0, "x", ""))
            case "ack":
                log.push(Ack(len(seen), 0))
            case "take":
                log.release(data.draw(st.integers(0, log.next_number)))
                if (numbered := log.take()) and data.draw(st.booleans()):  # else it is lost on the way
                    last = max(last, numbered.number) if numbered.number == last + 1 else last
                    if numbered.number == last:
                        assert seen.setdefault(last, numbered.event) == numbered.event
            case "break":
                log.rewind(last)
    log.rewind(last)
    for numbered in take_all(log):
        assert numbered.number == last + 1
        last = numbered.number
        seen[last] = numbered.event
    assert [e.segment for _, e in sorted(seen.items()) if isinstance(e, Final)] == list(range(n_finals))


def test_a_final_has_its_number_at_once_and_is_held_until_it_is_released() -> None:
    log = EventLog()
    log.push(SpeechState("started", 0.0, 0))
    log.push(Partial(0, 0.0, 1.0, "one", ""))
    assert log.push(final(0)) == Numbered(2, final(0)), "what waited before it has a number, its partials are gone"
    log.push(Partial(1, 1.0, 2.0, "", "two"))
    assert [n.number for n in take_all(log, release=False)] == [1]
    assert (log.n_waiting, log.last_number) == (0, 1)
    log.push(Partial(1, 1.0, 2.0, "two", " three"))
    log.rewind(0)
    assert [n.number for n in take_all(log, release=False)] == [1], "what was given is given again"
    log.release(2)
    assert [n.event for n in take_all(log)] == [final(0), Partial(1, 1.0, 2.0, "two", " three")]
    log.push(final(1))
    assert take_all(log, release=False) == []


def test_what_is_given_again_does_not_make_a_client_that_comes_back_a_slow_one() -> None:
    log = EventLog()
    for i in range(300):
        log.push(SpeechState("started", float(i), i))
    assert log.n_waiting == 300
    assert len(take_all(log)) == 300
    log.rewind(0)
    log.push(Heartbeat())
    assert log.n_waiting == 1
    assert len(take_all(log)) == 301


def test_a_log_that_goes_on_elsewhere_gives_the_finals_and_numbers_on_behind_what_was_seen() -> None:
    finals = [Numbered(4, final(0)), Numbered(9, final(1)), Numbered(12, final(2))]
    for last_event, again in ((3, [4, 9, 12]), (4, [9, 12]), (10, [12]), (12, []), (15, [])):
        log = EventLog.restored(finals, next_number=13, floor=3, last_event=last_event)
        log.push(Heartbeat())
        assert [n.number for n in take_all(log)] == [*again, max(13, last_event + 1)]
        log.rewind(last_event)
        assert [n.number for n in take_all(log)] == [*again, max(13, last_event + 1)]
    for impossible in (2, 10**12):
        with pytest.raises(NotFound) as caught:
            EventLog.restored(finals, next_number=13, floor=3, last_event=impossible)
        assert caught.value.code == "events_gone"
