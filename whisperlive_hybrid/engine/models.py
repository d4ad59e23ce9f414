"""From a model's name to a folder with its weights.

A name is `auto`, `digits` (bundled), a size or hub id that faster-whisper knows, one of OpenAI's names (aliases of the
default), or a local folder in CTranslate2's format. Everything here may block; call it off the event loop.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import huggingface_hub
import tokenizers
from faster_whisper.utils import available_models
from huggingface_hub import constants as hub_constants
from huggingface_hub import errors as hub_errors

from whisperlive_hybrid.engine.device import GIB, Device
from whisperlive_hybrid.errors import ModelUnavailable

log = logging.getLogger(__name__)

Downloads: TypeAlias = Literal["sizes", "any", "none"]

AUTO = "auto"
DIGITS = "digits"
BUNDLED = Path(__file__).parent / "bundled" / DIGITS
_TURBO_MEMORY = 6 * GIB
_PROBE_S = 3.0
_MULTILINGUAL_TOKENS = 51865
"""Tokens of the smallest vocabulary with languages; English-only models have one fewer."""
_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]
_OPENAI_NAME = re.compile(
    r"whisper(-1)?|gpt-4o(-mini)?-transcribe(-.+)?|gpt-((realtime|live)-)?(transcribe|whisper)(-.+)?"
)
"""`whisper` is what Azure calls it."""
OPENAI_NAMES = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-transcribe-diarize",
    "gpt-transcribe",
    "gpt-live-transcribe",
    "gpt-realtime-whisper",
)
"""Names of OpenAI's models that clients most often send; dated ones are understood as well."""
WAYS_OUT = (
    "connect this machine to huggingface.co, or fetch the model with `whisperlive-hybrid models fetch`",
    "give the path of a folder with a CTranslate2 Whisper model",
    "use the bundled one: --model digits",
)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that is here or can be asked for."""

    id: str
    aliases: tuple[str, ...]
    loaded: bool
    path: Path | None
    size_bytes: int | None
    device: str | None
    """Where it runs; None while it is not loaded."""
    compute_type: str | None
    default: bool
    multilingual: bool | None
    """None while it is not known."""
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """A model whose files are here."""

    name: str
    path: Path
    note: str | None = None
    """What a user should be told about the choice."""


def is_openai_name(name: str) -> bool:
    """Whether a client means "whatever transcribes" by this name."""
    return _OPENAI_NAME.fullmatch(name.lower()) is not None


def hub_id(name: str) -> str | None:
    """The hub repository of a size or hub id; None for anything else."""
    if name in _SIZES:
        return _SIZES[name]
    match = re.fullmatch(r"openai/whisper-(.+)", name)
    if match and match[1] in _SIZES:
        return _SIZES[match[1]]
    return name if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith(".") else None


def canonical(name: str) -> str:
    """One name for each model: the size if it has one, a folder's own name, else the name as given."""
    repository = hub_id(name)
    if repository is not None:
        return _NAMES.get(repository, repository)
    return Path(name).expanduser().name if _is_path(name) else name


def sizes() -> list[str]:
    """Names of all sizes, one each."""
    return sorted(set(_NAMES.values()))


def locate(name: str, device: Device, cache: Path | None, token: str | None, *, download: bool = True) -> Located:
    """Find a model's files, downloading them where that is allowed and needed.

    Raises ModelUnavailable.
    """
    if name == AUTO:
        return _choose(device, cache, token, download=download)
    if name == DIGITS:
        return Located(DIGITS, check_folder(BUNDLED, DIGITS))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Located(folder.resolve().name, check_folder(folder.resolve(), name))
    repository = hub_id(name)
    if repository is None:
        what = "no such folder" if _is_path(name) else f"neither a folder, a hub id, nor one of {', '.join(sizes())}"
        raise ModelUnavailable(f"model {name!r}: {what}", model=name, ways_out=WAYS_OUT)
    found = cached(repository, cache)
    if found is None:
        if not download:
            raise ModelUnavailable(f"model {name!r} is not on this machine", model=name, ways_out=WAYS_OUT)
        found = fetch(repository, cache, token)
    return Located(canonical(name), check_folder(found, name))


def locate_for_caller(name: str, downloads: Downloads, cache: Path | None, token: str | None) -> Located:
    """Find the files of a model that a request names, downloading them where `downloads` allows it and needed.

    Folders are the administrator's to choose: a name is never taken for one here. Raises ModelUnavailable.
    """
    if name == DIGITS:
        return Located(DIGITS, check_folder(BUNDLED, DIGITS))
    repository = hub_id(name)
    if repository is None:
        raise ModelUnavailable(f"there is no model {name!r}", model=name, ways_out=WAYS_OUT)
    found = cached(repository, cache)
    if found is None:
        if downloads == "none" or (downloads == "sizes" and repository not in _NAMES):
            raise ModelUnavailable(
                f"model {name!r} is not on this machine, and MODEL_DOWNLOADS={downloads} lets no request fetch it",
                model=name,
                ways_out=(
                    f"fetch it on the server with `whisperlive-hybrid models fetch {name}`",
                    "set MODEL_DOWNLOADS=any",
                    f"name another model, such as {DIGITS}" if downloads == "none" else "name a size, such as small",
                ),
            )
        found = fetch(repository, cache, token)
    return Located(canonical(name), check_folder(found, name))


def _choose(device: Device, cache: Path | None, token: str | None, *, download: bool) -> Located:
    """The best model this machine runs well, or the bundled one, loudly."""
    name = preferred(device)
    try:
        if cached(_SIZES[name], cache) is not None or (download and hub_reachable()):
            return locate(name, device, cache, token, download=download)
        reason = "no model hub can be reached"
    except ModelUnavailable as error:
        reason = error.message
    note = (
        f"The bundled digits model runs instead of {name}: {reason}. It understands spoken digits only (English, "
        "Spanish, German, French). For real speech connect this machine to huggingface.co and start again, "
        "or set FASTERWHISPER_MODEL to a folder with a CTranslate2 Whisper model."
    )
    return Located(DIGITS, check_folder(BUNDLED, DIGITS), note)


def preferred(device: Device) -> str:
    """What `auto` stands for on a device."""
    if device.kind == "cpu":
        return "base"
    return "large-v3-turbo" if device.memory_bytes is None or device.memory_bytes >= _TURBO_MEMORY else "small"


def cached(repository: str, cache: Path | None) -> Path | None:
    """A complete copy of a repository in the cache; None where there is none. Touches no network."""
    try:
        path = Path(
            huggingface_hub.snapshot_download(repository, cache_dir=cache, local_files_only=True, allow_patterns=_FILES)
        )
    except (hub_errors.LocalEntryNotFoundError, hub_errors.HFValidationError, OSError, ValueError):
        return None
    return path if (path / "model.bin").exists() else None


def fetch(repository: str, cache: Path | None, token: str | None) -> Path:
    """Download a repository's model files, with progress in the log.

    Raises ModelUnavailable when the hub is out of reach, or has no such model.
    """
    name = canonical(repository)
    if not hub_reachable():
        raise ModelUnavailable(
            f"model {name!r} is not on this machine and no model hub can be reached",
            model=name,
            ways_out=WAYS_OUT,
        )
    log.info("downloading %s", repository)
    done = threading.Event()
    watcher = threading.Thread(target=_log_progress, args=(repository, cache, done), daemon=True)
    watcher.start()
    try:
        path = huggingface_hub.snapshot_download(
            repository, cache_dir=cache, token=token, allow_patterns=_FILES, tqdm_class=None
        )
    except (hub_errors.HfHubHTTPError, hub_errors.LocalEntryNotFoundError, hub_errors.HFValidationError) as error:
        why = "does not exist on the hub, or is not public" if _is_missing(error) else f"cannot be downloaded: {error}"
        raise ModelUnavailable(f"model {name!r} {why}", model=name, ways_out=WAYS_OUT) from None
    except OSError as error:
        raise ModelUnavailable(f"model {name!r} cannot be downloaded: {error}", model=name, ways_out=WAYS_OUT) from None
    finally:
        done.set()
        watcher.join()
    log.info("downloaded %s", repository)
    return Path(path)


def _is_missing(error: Exception) -> bool:
    return isinstance(error, hub_errors.RepositoryNotFoundError | hub_errors.RevisionNotFoundError)


def _log_progress(repository: str, cache: Path | None, done: threading.Event) -> None:
    folder = Path(cache or hub_constants.HF_HUB_CACHE) / ("models--" + repository.replace("/", "--")) / "blobs"
    while not done.wait(5.0):
        log.info("downloading %s: %d MB so far", repository, folder_size(folder) // 1_000_000)


def hub_reachable() -> bool:
    """Whether the hub answers within about three seconds. An offline hub library counts as out of reach."""
    if hub_constants.HF_HUB_OFFLINE:
        return False
    answer: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(hub_constants.ENDPOINT, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_S):
                answer.append(True)
        except urllib.error.HTTPError:
            answer.append(True)  # it answered
        except (OSError, ValueError):
            answer.append(False)

    # A thread, because looking up a name cannot be given a time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_S + 0.5)
    return bool(answer and answer[0])


def check_folder(folder: Path, name: str) -> Path:
    """The folder, if it holds a complete CTranslate2 Whisper model. Raises ModelUnavailable saying what is wrong."""

    def wrong(what: str) -> ModelUnavailable:
        return ModelUnavailable(f"model {name!r}: {what}", model=name, ways_out=WAYS_OUT)

    try:
        files = {p.name for p in folder.iterdir()}
    except OSError as error:
        raise wrong(f"its folder cannot be read ({error.strerror})") from None
    if "model.bin" not in files:
        if files & {"model.safetensors", "pytorch_model.bin", "model.safetensors.index.json"}:
            raise wrong("the folder holds a Transformers model; convert it with ct2-transformers-converter")
        raise wrong("the folder holds no model.bin, so it is not a CTranslate2 model")
    if not any(f.startswith("vocabulary.") for f in files):
        raise wrong("the folder is incomplete: there is no vocabulary.json or vocabulary.txt beside model.bin")
    try:
        with (folder / "model.bin").open("rb") as file:
            head = file.read(32)
    except OSError as error:
        raise wrong(f"model.bin cannot be read ({error.strerror})") from None
    # CTranslate2's format: version (uint32), then the length and name of the model's kind.
    if b"WhisperSpec" not in head:
        raise wrong("model.bin is not a CTranslate2 Whisper model")
    return folder


def load_tokenizer(folder: Path) -> tokenizers.Tokenizer:
    """The model's tokenizer; converted models without one use OpenAI's, from the hub. Raises ModelUnavailable."""
    file = folder / "tokenizer.json"
    if file.exists():
        try:
            return tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exceptions
            raise ModelUnavailable(
                f"model {folder.name!r}: tokenizer.json cannot be read ({error})", model=folder.name, ways_out=WAYS_OUT
            ) from None
    why = "no hub can be reached to get one"
    if hub_reachable():
        try:
            return tokenizers.Tokenizer.from_pretrained(
                "openai/whisper-tiny" + ("" if is_multilingual(folder) else ".en")
            )
        except Exception as error:  # as above
            why = f"none can be had from the hub ({error})"
    raise ModelUnavailable(
        f"model {folder.name!r} has no tokenizer.json, and {why}", model=folder.name, ways_out=WAYS_OUT
    )


def is_multilingual(folder: Path) -> bool:
    """Whether a model knows more than English: by the size of its vocabulary, as CTranslate2 tells it too."""
    try:
        if (folder / "vocabulary.json").exists():
            return len(json.loads((folder / "vocabulary.json").read_text())) >= _MULTILINGUAL_TOKENS
        return (folder / "vocabulary.txt").read_bytes().count(b"\n") >= _MULTILINGUAL_TOKENS
    except (OSError, ValueError, TypeError):
        return True


def mel_bands(folder: Path) -> int | None:
    """Mel bands the model was trained on, from its preprocessor_config.json; None where that says nothing."""
    try:
        size = json.loads((folder / "preprocessor_config.json").read_text()).get("feature_size")
    except (OSError, ValueError, AttributeError):
        return None
    return size if isinstance(size, int) and size > 0 else None


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    try:
        return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    except OSError:
        return 0


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1


def _size_table() -> dict[str, str]:
    from faster_whisper import utils

    return {name: utils._MODELS[name] for name in available_models()}


_SIZES = _size_table()
_NAMES = {repository: name for name, repository in sorted(_SIZES.items(), key=lambda item: (len(item[0]), item[0]))}
"""Repository → size; of two names for one repository, the longer and clearer."""
