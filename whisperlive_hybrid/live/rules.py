"""The numbers a live session goes by, declared once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveRules:
    """How partials and finals are made."""

    partial_interval_s: float = 0.5
    """Shortest time between the starts of two partial windows."""
    first_partial_s: float = 0.6
    """Speech (pre-roll included) before the first partial of an utterance: less is seldom a word."""
    partial_beam_size: int = 1
    beam_size: int = 5
    """Of finals."""
    trim_after_s: float = 8.0
    """A partial window longer than this is trimmed at a committed word, where one is known."""
    max_window_s: float = 12.0
    """Where nothing was committed in so much audio, half of what was heard is, and the window trimmed there."""
    hold_new_s: float = 0.3
    """A tentative word that ends within so much of the newest audio is not shown yet, unless it is probable."""
    hold_below: float = 0.9
    """Probability below which it is held back."""
    shortest_word_s: float = 0.1
    """A word at the end of a partial that lasts less is dropped."""
    noise_below_s: float = 0.3
    """An utterance with less speech than this is taken for a noise, unless its words are sure."""
    noise_sure: float = 0.7
    """Mean probability of a word, times that of a detected language, from which they are."""
    verify_below_s: float = 0.25
    """Where less speech than this came since the last partial, its text is only verified."""
    speculate: bool = True
    """Ask for the final as soon as the speaker pauses; it is told when the utterance ends there."""
    final_within_s: float = 1.0
    """Deadline of a final, from the end of its utterance."""
    final_tries: int = 4
    """How often a final is tried when the engine fails (the first one included)."""
    retry_after_s: float = 0.2
    """Wait before a failed final is tried again; the engine may name a longer one."""
    finals_at_once: int = 4
    """Finals of one session in the engine at once; matters when audio comes faster than real time."""
    history_chars: int = 0
    """Prompt windows with so much of the text before them (Macháček et al. 2023: 200 characters); finals are then made
    one after another. Off, because a wrong final then spoils the next ones: Whisper repeats what it is prompted with,
    small models most of all."""
    detect_after_s: float = 1.5
    """A language detected in less audio than this is used for that window only."""
    keep_language: float = 0.7
    """A detected language this probable is kept for the session."""
    doubt_language: float = 0.35
    """After a final less confident than this, partials have their language detected anew too."""
    ahead_s: float = 10.0
    """Speech sent faster than it can be spoken, and so much ahead of time: no partials, and finals wait for others'."""
    least_utterance_s: float = 1.0
    """A shorter utterance counts as so much speech: that is what its final costs."""
    catch_up_s: float = 60.0
    """As much of it may be sent late at any speed, as after a broken connection."""
    max_backlog_s: float = 60.0
    """Ended utterances that wait for their finals, in seconds of audio: above this no more audio is taken in."""
