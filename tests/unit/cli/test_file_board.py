from __future__ import annotations

import io
import json

import pytest

from whisperlive_hybrid.cli.file_board import FileBoard, progress_of
from whisperlive_hybrid.cli.progress import ProgressLine
from whisperlive_hybrid.client.job_records import Job
from whisperlive_hybrid.jobs.transcript import Progress


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr("whisperlive_hybrid.cli.progress._PATIENCE_S", 0.0)
    monkeypatch.setattr("whisperlive_hybrid.cli.progress._BAR_EVERY_S", 0.0)
    return io.StringIO()


def shown(out: io.StringIO) -> list[str]:
    lines = [" ".join(line.split()[:5]) for line in out.getvalue().split("\r\x1b[K") if line]
    out.truncate(0)
    out.seek(0)
    return lines


def half(total_s: float) -> Progress:
    return Progress("transcribing", total_s / 2, total_s)


def test_of_several_files_the_first_that_is_not_over_is_shown(out: io.StringIO) -> None:
    board = FileBoard(ProgressLine(out, "bar"), ["a.mp3", "b.mp3", "c.mp3"])
    board.update("b.mp3", half(60))
    assert shown(out) == ["b.mp3 (1 of 3) 50"]
    board.update("a.mp3", half(10))
    board.update("b.mp3", half(60))
    assert shown(out) == ["a.mp3 (1 of 3) 50"]
    board.over("a.mp3")
    board.update("c.mp3", half(20))
    board.update("b.mp3", half(60))
    assert shown(out) == ["b.mp3 (2 of 3) 50"]


def test_one_file_has_its_name_alone(out: io.StringIO) -> None:
    board = FileBoard(ProgressLine(out, "bar"), ["a.mp3"])
    board.update("a.mp3", Progress("uploading 42 %", 0.0, None))
    assert shown(out) == ["a.mp3 uploading 42 %"]


def test_programs_are_told_of_each(out: io.StringIO) -> None:
    board = FileBoard(ProgressLine(out, "json"), ["a.mp3", "b.mp3"])
    board.update("a.mp3", half(10))
    board.update("b.mp3", half(60))
    assert [json.loads(line)["file"] for line in out.getvalue().splitlines()] == ["a.mp3", "b.mp3"]


@pytest.mark.parametrize(
    ("job", "progress"),
    [
        (Job("j", "queued", queue_place=0), Progress("queued", 0.0, None)),
        (Job("j", "queued", queue_place=3, total_s=9.0), Progress("queued behind 3", 0.0, 9.0)),
        (Job("j", "running", "transcribing", 0.5, 4.5, 9.0), Progress("transcribing", 4.5, 9.0)),
        (Job("batch_1", "running", progress=0.25, total_s=8.0), Progress("running", 2.0, 8.0)),
    ],
)
def test_a_servers_word_on_a_job(job: Job, progress: Progress) -> None:
    assert progress_of(job) == progress
