"""Command-line flags, made from the settings: `http_port` is --http-port."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from whisperlive_hybrid.config import Settings, env_names, group_of, load_settings, unit_of

_PREFIX = "setting_"
_ALIASES = {"fasterwhisper_model": ("--model",), "app_host": ("--host",), "default_language": ("--language",)}
_SECRETS = ("api_key", "hf_token")


def add_settings_flags(parser: argparse.ArgumentParser, names: Collection[str] | None = None) -> None:
    """Add a flag for each setting (or those in `names`), under the headings of the settings table.

    Values stay text: `settings_from` checks them as it checks the environment's, so that both give the same line.
    """
    headings: dict[str, argparse._ArgumentGroup] = {}
    for name, field in Settings.model_fields.items():
        if names is not None and name not in names:
            continue
        group = group_of(field)
        if group not in headings:
            headings[group] = parser.add_argument_group(group.lower())
        headings[group].add_argument(
            *_ALIASES.get(name, ()),
            "--" + name.replace("_", "-"),
            dest=_PREFIX + name,
            metavar=_metavar(field),
            help=_help(name, field),
        )


def names_of_groups(*groups: str) -> set[str]:
    """Names of the settings listed under these headings."""
    return {name for name, field in Settings.model_fields.items() if group_of(field) in groups}


def settings_from(args: argparse.Namespace) -> Settings:
    """The settings: flags first, then the environment, then `.env`. Raises ConfigError."""
    return load_settings(**given_settings(args))


def given_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as flags, as text."""
    return dict(_given(args))


def _given(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    for key, value in vars(args).items():
        if key.startswith(_PREFIX) and value is not None:
            yield key.removeprefix(_PREFIX), value


def _metavar(field: FieldInfo) -> str:
    annotation = field.annotation
    if typing.get_origin(annotation) is typing.Literal:
        return "{" + ",".join(map(str, typing.get_args(annotation))) + "}"
    kinds = typing.get_args(annotation) or (annotation,)
    if Path in kinds:
        return "PATH"
    if int in kinds or float in kinds:
        return (unit_of(field) or "N").upper()
    return "TEXT"


def _help(name: str, field: FieldInfo) -> str:
    default = "unset" if field.default in (None, "") else str(field.default)
    if isinstance(field.default, bool):
        default = default.lower()
    unit = f" {unit_of(field)}" if unit_of(field) else ""
    text = f"{field.description} [{default}{unit}; {env_names(name, field)[0]}]"
    if name in _SECRETS:
        text += " Better set in the environment: other users of the machine see command lines."
    return text.replace("%", "%%")
