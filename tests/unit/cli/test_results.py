from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from whisperlive_hybrid.cli.results import WrongUsage, add_output_flags, plan_of


def planned(names: list[str], *flags: str) -> dict[str, Path | None]:
    parser = argparse.ArgumentParser()
    add_output_flags(parser)
    return dict(plan_of(parser.parse_args(flags), names).outputs)


def test_results_in_a_folder_are_named_by_their_files(tmp_path: Path) -> None:
    names = ["a/talk.mp3", "-", "https://example.org/a%20b/Rede%2042.ogg?token=x", "https://example.org/"]
    outputs = planned(names, "-o", f"{tmp_path}/", "--format", "srt")
    assert [o.name for o in outputs.values() if o is not None] == [
        "talk.srt",
        "standard-input.srt",
        "Rede 42.srt",
        "example.org.srt",
    ]


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(WrongUsage, match="overwrite each other"):
        planned(["a/talk.mp3", "https://example.org/talk.ogg"], "-o", "out/")


def test_what_is_there_is_left_out_or_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    where = ["-o", f"{tmp_path}/"]
    with pytest.raises(WrongUsage, match="exists already"):
        planned(["a.mp3", "b.mp3"], *where)
    assert list(planned(["a.mp3", "b.mp3"], *where, "--skip-existing")) == ["b.mp3"]
    assert list(planned(["a.mp3", "b.mp3"], *where, "--force")) == ["a.mp3", "b.mp3"]
