from __future__ import annotations

import pytest

from tools import settings_table
from whisperlive_hybrid.config import Settings, env_names


@pytest.mark.parametrize("path", settings_table.documents(), ids=lambda p: p.name)
def test_the_docs_say_what_the_settings_are(path: settings_table.Path) -> None:
    assert path.read_text() == settings_table.documents()[path], "run `make docs`"


def test_every_setting_and_each_of_its_names_is_in_the_table() -> None:
    page = settings_table.settings_page()
    for name, field in Settings.model_fields.items():
        for env_name in env_names(name, field):
            assert f"`{env_name}`" in page


def test_the_example_file_sets_nothing() -> None:
    assert all(line.startswith("#") for line in settings_table.env_example().splitlines() if line)


def test_switches_are_written_as_in_a_shell() -> None:
    assert "| `RESUME_ACROSS_RESTARTS` | `true` | `true`, `false` |" in settings_table.settings_page()
    assert "#RESUME_ACROSS_RESTARTS=true\n" in settings_table.env_example()


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="settings:begin"):
        settings_table.with_table("no markers", "table")
