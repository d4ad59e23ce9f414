"""Writes what the docs say about settings from their one declaration: docs/settings.md, README's table, .env.example.

python -m tools.settings_table            write them
python -m tools.settings_table --check    say which are out of date
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from whisperlive_hybrid.config import Settings, env_names, group_of, unit_of

ROOT = Path(__file__).parent.parent
SHORT = (
    "fasterwhisper_model",
    "device",
    "app_host",
    "http_port",
    "port_whisperlive",
    "api_key",
    "cors_origins",
    "default_language",
    "max_upload_mb",
    "max_live_sessions",
)
"""Settings of README's table, in its order."""
BEGIN, END = "<!-- settings:begin -->", "<!-- settings:end -->"


def documents() -> dict[Path, str]:
    """Every generated file with its text as it should be."""
    readme = ROOT / "README.md"
    return {
        ROOT / "docs/settings.md": settings_page(),
        ROOT / ".env.example": env_example(),
        readme: with_table(readme.read_text(), short_table()),
    }


def settings_page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "<!-- written by `make docs` from whisperlive_hybrid/config.py -->",
        "",
        "Each is an environment variable, a line of `.env`, and a flag of `whisperlive-hybrid serve`: `HTTP_PORT=9000`",
        "is `--http-port 9000`. A flag wins over the environment, the environment over `.env`. An empty value counts",
        "as unset. A wrong value stops the start with one line that names the setting, the value and what is allowed.",
    ]
    for group, fields in by_group().items():
        lines += ["", f"## {group}", "", "| setting | default | allowed | meaning |", "|---|---|---|---|"]
        lines += [
            f"| {' or '.join(f'`{n}`' for n in env_names(name, field))} | {default(field)} | {allowed(field)} "
            f"| {cell(field.description)} |"
            for name, field in fields
        ]
    return "\n".join(lines) + "\n"


def short_table() -> str:
    """README's table."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name in SHORT:
        field = Settings.model_fields[name]
        rows.append(f"| `{env_names(name, field)[0]}` | {default(field)} | {cell(field.description)} |")
    return "\n".join(rows)


def with_table(text: str, table: str) -> str:
    """`text` with `table` between its two markers."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"no {BEGIN} … {END} in README.md")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def env_example() -> str:
    """.env.example: every setting, commented out, with its default."""
    lines = ["# Copy to .env and uncomment what you change. Written by `make docs`; see docs/settings.md."]
    for group, fields in by_group().items():
        lines += ["", f"# --- {group}"]
        for name, field in fields:
            value = "" if field.default is None else written(field.default)
            unit = f" ({unit_of(field)})" if unit_of(field) else ""
            lines += [f"# {field.description}{unit}", f"#{env_names(name, field)[0]}={value}"]
    return "\n".join(lines) + "\n"


def by_group() -> dict[str, list[tuple[str, FieldInfo]]]:
    """Settings under their headings, in the order of declaration."""
    groups: dict[str, list[tuple[str, FieldInfo]]] = {}
    for name, field in Settings.model_fields.items():
        groups.setdefault(group_of(field), []).append((name, field))
    return groups


def default(field: FieldInfo) -> str:
    """The default with its unit, as a table's cell."""
    if field.default is None or field.default is PydanticUndefined:
        return "unset"
    if field.default == "":
        return "empty"
    number = f"{field.default:g}" if isinstance(field.default, float) else written(field.default)
    return f"`{number}`" + (f" {unit_of(field)}" if unit_of(field) else "")


def written(value: object) -> str:
    """A value as one writes it into .env."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def allowed(field: FieldInfo) -> str:
    """What values may be, as a table's cell."""
    if field.annotation is bool:
        return "`true`, `false`"
    if typing.get_origin(field.annotation) is typing.Literal:
        return ", ".join(f"`{v}`" for v in typing.get_args(field.annotation))
    return ", ".join(_limits(field)) or "any"


def cell(text: str | None) -> str:
    """Text that does not break a table."""
    return (text or "").replace("|", "\\|").replace("\n", " ").replace("*", "\\*")


def _limits(field: FieldInfo) -> Iterator[str]:
    for limit in field.metadata:
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            bound = getattr(limit, attribute, None)
            if bound is not None:
                yield f"{sign} {bound:g}"


def main() -> int:
    """Write or check; 1 when a check finds something out of date."""
    outdated = [path for path, text in documents().items() if not path.exists() or path.read_text() != text]
    for path in outdated:
        if "--check" in sys.argv[1:]:
            print(f"{path.relative_to(ROOT)} is out of date: run `make docs`", file=sys.stderr)
        else:
            path.write_text(documents()[path])
    return 1 if outdated and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    raise SystemExit(main())
