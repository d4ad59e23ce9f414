"""What a live session begins with, here or where another process left it."""

from __future__ import annotations

from dataclasses import dataclass, field

from whisperlive_hybrid.diarization.speaker_book import Book
from whisperlive_hybrid.live.checkpoint import Checkpoint, Store
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.frames import Mark
from whisperlive_hybrid.live.input_pump import Ears
from whisperlive_hybrid.live.replay import EventLog
from whisperlive_hybrid.live.session import Session


@dataclass(frozen=True, slots=True)
class Beginning:
    """The parts of a session that is not at work yet."""

    session: Session
    options: LiveOptions
    model: str
    partial_model: str | None
    token: str
    ears: Ears
    log: EventLog = field(default_factory=EventLog)
    mark: Mark = field(default_factory=Mark)
    store: Store | None = None
    """Where it has a record, if another process may go on with it."""
    book: Book | None = None
    """Whose voices are known; None where speakers are not told apart."""
    idle_s: float | None = None
    """How long its client may send nothing; None is as the server has it."""
    flush_after_s: float | None = None
    """What was said is finalized when its client has sent nothing for so long; None waits for more."""

    client: str | None = None
    """Whom it counts for; None is nobody."""
    can_resume: bool = True
    """Its client knows how to come back to it."""

    @property
    def models(self) -> list[str]:
        """Names of the models it uses."""
        return [name for name in (self.model, self.partial_model) if name is not None]

    def checkpoint(self, mark: Mark, book: Book | None = None) -> Checkpoint:
        """The session as it is now, with its audio from `mark` on still to be heard."""
        events = self.log
        state = self.session.state()
        return Checkpoint(self.options, state, mark, events.next_number, events.floor, book)
