"""Every setting, declared once: name, default, unit, help, limits.

The environment, `.env`, the command line's flags, `.env.example` and the table in docs/settings.md all come from
`Settings`. A wrong value stops the start with one line that names the setting, the value and what is allowed.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.speech.speech import FILE_SPEECH, SpeechOptions

_SPEECH = SpeechOptions()


class ConfigError(HybridError):
    """A setting has a value that is not allowed."""

    code = "bad_setting"


def _setting(default: Any, help: str, *, unit: str = "", group: str, **limits: Any) -> Any:
    """One setting: `help` for --help and the docs table, `unit` of the value, `group` it is listed under."""
    return Field(default, description=help, json_schema_extra={"unit": unit, "group": group}, **limits)


class Settings(BaseSettings):
    """The server's settings. The environment name of each field is the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
        frozen=True,
        allow_inf_nan=False,
    )

    # --- listening -------------------------------------------------------------------------------------------------
    app_host: str = _setting(
        "127.0.0.1", "Address both listeners bind to; 0.0.0.0 for every network interface.", group="Listening"
    )
    http_port: int = _setting(8080, "Port of pages, files and the OpenAI API.", group="Listening", ge=0, le=65535)
    port_whisperlive: int = _setting(5050, "Port of live audio over WebSocket.", group="Listening", ge=0, le=65535)
    wyoming_port: int | None = _setting(
        None,
        "Port of the Wyoming protocol for Home Assistant, which knows no keys; unset is off. Its usual port is 10300.",
        group="Listening",
        ge=0,
        le=65535,
    )
    cors_origins: str = _setting(
        "null",
        "Web origins other than the server's own that may call it, comma-separated; * for all, none for none. "
        '"null" is a page opened from disk.',
        group="Listening",
    )
    api_key: str | None = _setting(
        None, "Keys that callers must present, comma-separated; unset means no key is needed.", group="Listening"
    )

    # --- clients ---------------------------------------------------------------------------------------------------
    # A client is an API key, or an address where none is asked for. Where one has all it may have, it is told so (429).
    trusted_proxies: str = _setting(
        "127.0.0.1, ::1",
        "Proxies whose X-Forwarded-For is believed: addresses and networks, comma-separated; none for none. Where no "
        "key is asked for, clients are told apart by address.",
        group="Clients",
    )
    client_requests_at_once: int | None = _setting(
        None,
        "Requests at once of one client that send or wait for files; 0 is no limit, unset a fair share: at most twice "
        "as many as are left free of MAX_FILE_JOBS + MAX_QUEUED_FILES + 16.",
        group="Clients",
        ge=0,
    )
    client_requests_per_minute: int = _setting(
        0, "Requests of one client in a minute, all at once if it likes; 0 is no limit.", group="Clients", ge=0
    )
    client_live_sessions: int = _setting(
        0, "Live sessions at once of one client; 0 is any number.", group="Clients", ge=0
    )
    client_queued_jobs: int = _setting(0, "Jobs of one client that wait; 0 is any number.", group="Clients", ge=0)
    client_storage_mb: float = _setting(
        0.0, "Clips of one client that are kept; 0 is any amount.", unit="MB", group="Clients", ge=0
    )
    client_audio_s_per_day: float = _setting(
        0.0, "Audio of one client's files and jobs in a day of UTC; 0 is any amount.", unit="s", group="Clients", ge=0
    )
    min_upload_speed: float = _setting(
        1000.0,
        "While less than a quarter of those places is free, an upload that brought less than this in a minute is given "
        "up; 0 never.",
        unit="B/s",
        group="Clients",
        ge=0,
    )

    # --- models ----------------------------------------------------------------------------------------------------
    fasterwhisper_model: str = Field(
        "auto",
        validation_alias=AliasChoices("FASTERWHISPER_MODEL", "WHISPER_MODEL"),
        description=(
            "Default model: auto, a faster-whisper size, a hub id, a CTranslate2 folder, or digits (bundled). "
            "WHISPER_MODEL is read when this is not set."
        ),
        json_schema_extra={"unit": "", "group": "Models"},
    )
    model_cache: Path | None = _setting(
        None, "Folder for downloaded models; unset is the hub library's own cache.", group="Models"
    )
    model_downloads: Literal["sizes", "any", "none"] = _setting(
        "sizes",
        "Models that callers may make the server download by naming them: faster-whisper's sizes, any hub id, none. "
        "The default model, and those on this machine, are always allowed.",
        group="Models",
    )
    model_ttl_s: float = _setting(
        600.0, "A loaded model other than the default is freed after this long unused.", unit="s", group="Models", ge=1
    )
    max_loaded_models: int = _setting(3, "Models in memory at once.", group="Models", ge=1, le=64)
    hf_token: str | None = Field(
        None,
        validation_alias=AliasChoices("HUGGINGFACE_AUTH_TOKEN", "HF_TOKEN"),
        description="Token for gated models on the hub; HUGGINGFACE_AUTH_TOKEN or HF_TOKEN.",
        json_schema_extra={"unit": "", "group": "Models"},
    )
    device: Literal["auto", "cpu", "cuda"] = _setting(
        "auto", "Where inference runs; auto takes a CUDA GPU when there is one.", group="Models"
    )
    device_index: int = _setting(0, "Which GPU.", group="Models", ge=0)
    compute_type: Literal["auto", "int8", "int8_float16", "int8_float32", "float16", "bfloat16", "float32"] = _setting(
        "auto", "Precision; auto is float16 or int8_float16 on a GPU by its memory, int8 on a CPU.", group="Models"
    )
    omp_num_threads: int = _setting(0, "CPU threads of one inference; 0 is one per core.", group="Models", ge=0, le=512)
    max_batch: int = _setting(
        0, "Windows decoded together at most; 0 is 8 on a CPU and 16 on a GPU.", group="Models", ge=0, le=256
    )
    batch_memory_mb: int = _setting(
        0,
        "Memory that the windows decoded together may take beside the model, so that there may be fewer of them; one "
        "always runs. 0 is 192 on a CPU and 40 % of a GPU's memory.",
        unit="MiB",
        group="Models",
        ge=0,
        le=1 << 20,
    )

    # --- decoding --------------------------------------------------------------------------------------------------
    # Not LANGUAGE: gettext's variable of that name is set on many desktops, to values like en_GB:en.
    default_language: str = _setting(
        "auto", "Language when none is asked for: ISO 639-1 code, English name, or auto.", group="Decoding"
    )
    beam_size: int = _setting(5, "Beam of files and finals.", group="Decoding", ge=1, le=20)
    partial_beam_size: int = _setting(1, "Beam of live partials.", group="Decoding", ge=1, le=20)

    # --- speech ----------------------------------------------------------------------------------------------------
    vad_threshold: float = _setting(
        _SPEECH.threshold, "Silero probability at which speech starts.", group="Speech", gt=0, lt=1
    )
    vad_min_speech_ms: int = _setting(
        _SPEECH.min_speech_ms, "Shorter bursts are not speech.", unit="ms", group="Speech", ge=0, le=5000
    )
    vad_min_silence_ms: int = _setting(
        _SPEECH.min_silence_ms, "Silence that ends a live utterance.", unit="ms", group="Speech", ge=50, le=10000
    )
    vad_pre_roll_ms: int = _setting(
        _SPEECH.pre_roll_ms, "Audio kept from before live speech.", unit="ms", group="Speech", ge=0, le=5000
    )
    vad_overlap_ms: int = _setting(
        _SPEECH.overlap_ms,
        "Audio kept after live speech, and repeated at a forced cut.",
        unit="ms",
        group="Speech",
        ge=0,
        le=5000,
    )
    max_utterance_s: float = _setting(
        _SPEECH.max_utterance_s,
        "Longer live utterances are cut at their quietest point.",
        unit="s",
        group="Speech",
        ge=2,
        le=29,
    )

    # --- live ------------------------------------------------------------------------------------------------------
    live_model: str | None = _setting(
        None,
        "Model of live partials, named as FASTERWHISPER_MODEL; unset is the model of the finals. "
        "A small one shows words sooner, and each final replaces them once.",
        group="Live",
    )
    final_model: str | None = _setting(
        None,
        "Model of live finals where the client names none, named as FASTERWHISPER_MODEL; unset is the default model.",
        group="Live",
    )
    partial_interval_ms: int = _setting(
        500,
        "Time between two partials of a session while the device keeps up.",
        unit="ms",
        group="Live",
        ge=300,
        le=10000,
    )
    partial_interval_max_ms: int = _setting(
        2000,
        "The same when live windows have to wait: partials make room for finals.",
        unit="ms",
        group="Live",
        ge=300,
        le=10000,
    )
    live_policy: Literal["agreed-or-sure", "local-agreement-2", "local-agreement-3", "finals-only"] = _setting(
        "agreed-or-sure",
        "When words of running speech are committed: agreed-or-sure, as the two settings below say; local-agreement-2 "
        "or -3, when as many partials in a row agree on them; finals-only, with the final of their utterance.",
        group="Live",
    )
    commit_guard_ms: int = _setting(
        300,
        "A word that ends within so much of the newest audio is not committed by agreed-or-sure.",
        unit="ms",
        group="Live",
        ge=0,
        le=5000,
    )
    commit_probability: float = _setting(
        0.8,
        "Probability from which agreed-or-sure commits a word that no other partial has confirmed; above 1 is never.",
        group="Live",
        ge=0,
    )
    live_history_chars: int = _setting(
        0,
        "Characters of what was said before that each live window is prompted with. Finals are then made one after "
        "another, and a wrong one may spoil those after it.",
        group="Live",
        ge=0,
        le=1000,
    )
    max_live_sessions: int = _setting(64, "Live sessions at once; more are refused.", group="Live", ge=1)
    max_connection_time_s: float = _setting(
        0.0, "A WhisperLive client is disconnected after this; 0 is no limit.", unit="s", group="Live", ge=0
    )
    whisperlive_models: Literal["client", "server"] = _setting(
        "client",
        "Whose model WhisperLive clients get, which always name one: theirs, or the server's own where it cannot be "
        "had; or always the server's (FINAL_MODEL, or the default).",
        group="Live",
    )
    raw_pcm_input: bool = _setting(
        False, "WhisperLive clients that name no audio_format send 16-bit integers instead of floats.", group="Live"
    )
    live_idle_s: float = _setting(
        60.0, "A live connection without a message is closed after this.", unit="s", group="Live", ge=1
    )
    resume_s: float = _setting(
        60.0, "A broken live session waits this long to be resumed.", unit="s", group="Live", ge=0
    )
    live_ahead_s: float = _setting(
        10.0,
        "A live client that has sent so much more speech than time has passed gets no partials, and finals one by one, "
        "behind those of others.",
        unit="s",
        group="Live",
        ge=1,
    )
    live_max_speed: float = _setting(
        10.0,
        "Audio of one client is taken at so many times real time, beyond the first two minutes; 0 takes any speed.",
        group="Live",
        ge=0,
    )
    resume_across_restarts: bool = _setting(
        True,
        "Live sessions can be resumed after the process has ended, too: what they need for that is kept in DATA_DIR "
        "until they end, the text of their finals among it.",
        group="Live",
    )
    data_dir: Path | None = _setting(
        None,
        "Folder for what outlives the process; unset is whisperlive-hybrid in the user's data folder (XDG_DATA_HOME).",
        group="Live",
    )

    # --- files -----------------------------------------------------------------------------------------------------
    max_upload_mb: float = _setting(100.0, "Largest upload.", unit="MB", group="Files", gt=0)
    max_audio_s: float = _setting(14400.0, "Longest audio of one file after decoding.", unit="s", group="Files", gt=0)
    max_file_jobs: int = _setting(
        4, "Files of requests transcribed at once, and as many again of jobs; more wait.", group="Files", ge=1
    )
    max_queued_files: int = _setting(64, "Files waiting at once; more are refused.", group="Files", ge=0)
    file_window_s: float = _setting(
        30.0, "Speech packed into one window of a file.", unit="s", group="Files", ge=1, le=30
    )
    audio_storage_path: Path | None = _setting(
        None, "Folder for uploads while they are worked on; unset is a temporary folder.", group="Files"
    )
    min_free_disk_mb: float = _setting(
        256.0, "An upload is refused while its disk has less than this left.", unit="MB", group="Files", ge=0
    )
    transcription_storage_path: Path | None = _setting(
        None, "Folder where each finished file's transcript is kept as JSON; unset keeps none.", group="Files"
    )
    url_allow_hosts: str = _setting(
        "",
        "Private hosts that /transcribe/url may fetch from, comma-separated; public ones always may.",
        group="Files",
    )

    # --- speakers --------------------------------------------------------------------------------------------------
    pyannote_model: str | None = _setting(
        None,
        "What tells speakers apart in files: a pipeline of pyannote.audio by its hub id or folder, or bundled. "
        "Unset is pyannote/speaker-diarization-community-1 where HUGGINGFACE_AUTH_TOKEN is set and it can be had, else "
        "bundled.",
        group="Speakers",
    )
    diarization_device: str = _setting(
        "auto",
        "Where speakers are told apart: auto takes a GPU that Whisper does not run on, else the CPU; cpu; cuda:N.",
        group="Speakers",
        pattern=r"^(auto|cpu|cuda|cuda:\d{1,2})$",
    )
    diarization_threads: int = _setting(1, "CPU threads that tell speakers apart.", group="Speakers", ge=1, le=64)
    diarization_queue: int = _setting(
        16,
        "Live segments, and chunks of a file, that may wait for their speakers. Transcription of a file waits for "
        "room; a live segment that finds none goes without a speaker.",
        group="Speakers",
        ge=1,
        le=1024,
    )

    # --- clips and jobs --------------------------------------------------------------------------------------------
    database_url: str | None = _setting(
        None,
        "Database of clips, jobs and transcripts: postgresql://user:password@host/name, or sqlite:////path; unset is a "
        "file in DATA_DIR.",
        group="Clips and jobs",
    )
    clip_storage_url: str | None = _setting(
        None,
        "Where clips are kept: s3://bucket/path (or gs://, az://), file:///path; unset is a folder in DATA_DIR. "
        "Credentials are read from the store's own variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …).",
        group="Clips and jobs",
    )
    retention_days: float = _setting(
        0.0,
        "Clips, with their jobs and transcripts, are deleted after so many days; 0 keeps them until somebody does.",
        unit="days",
        group="Clips and jobs",
        ge=0,
    )
    direct_job_hours: float = _setting(
        1.0,
        "A request that waits for its answer (/transcribe, OpenAI's API, …) is listed with the jobs for so long, with "
        "nothing of what was sent or said; 0 knows it only while it is worked on.",
        unit="h",
        group="Clips and jobs",
        ge=0,
    )
    max_queued_jobs: int = _setting(
        10_000, "Jobs waiting at once; more are refused.", group="Clips and jobs", ge=0, le=1_000_000
    )
    job_lease_s: float = _setting(
        15.0,
        "A job whose server has not been heard of for so long is taken by another.",
        unit="s",
        group="Clips and jobs",
        ge=1,
    )
    webhook_secret: str | None = _setting(
        None,
        "Secret that webhooks are signed with, whsec_ and base64; several, the newest first, while it is changed. "
        "Unset is one that is made at the first start and kept in DATA_DIR/webhook-secret.",
        group="Clips and jobs",
    )
    webhook_allow_hosts: str = _setting(
        "", "Private hosts that webhooks may go to, comma-separated; public ones always may.", group="Clips and jobs"
    )

    # --- operation -------------------------------------------------------------------------------------------------
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "Least severe log line.", group="Operation"
    )
    log_format: Literal["text", "json"] = _setting("text", "Log lines for people or for machines.", group="Operation")
    shutdown_grace_s: float = _setting(
        20.0, "Time running work gets to finish when the server stops.", unit="s", group="Operation", ge=0
    )

    @field_validator("model_cache", "audio_storage_path", "transcription_storage_path", "data_dir")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        """No shell has read a line of .env: ~ is still to be replaced."""
        return None if path is None else path.expanduser()

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, listed: str) -> str:
        for part in filter(None, (p.strip() for p in listed.split(","))):
            if part != "none":
                ip_network(part, strict=False)
        return listed

    @property
    def language(self) -> str:
        """Language when none is asked for."""
        return self.default_language

    def speech_options(self) -> SpeechOptions:
        """The server's default rules for speech."""
        return SpeechOptions(
            threshold=self.vad_threshold,
            min_speech_ms=self.vad_min_speech_ms,
            min_silence_ms=self.vad_min_silence_ms,
            pre_roll_ms=self.vad_pre_roll_ms,
            overlap_ms=self.vad_overlap_ms,
            max_utterance_s=self.max_utterance_s,
        )

    def file_speech_options(self) -> SpeechOptions:
        """The server's default rules for speech in files: what is speech is as live, where it is split is not."""
        return replace(FILE_SPEECH, threshold=self.vad_threshold, min_speech_ms=self.vad_min_speech_ms)

    def upload_dir(self) -> Path:
        """Where uploads lie while they are worked on."""
        # Every user has a folder of his own: they are private, and the temporary folder is everybody's.
        return self.audio_storage_path or Path(tempfile.gettempdir()) / f"whisperlive-hybrid-{os.getuid()}"

    def data_folder(self) -> Path:
        """Where what outlives the process lies (XDG Base Directory Specification)."""
        if self.data_dir is not None:
            return self.data_dir
        home = os.environ.get("XDG_DATA_HOME", "")
        # A relative path is to be ignored, says the specification.
        return (Path(home) if os.path.isabs(home) else Path.home() / ".local" / "share") / "whisperlive-hybrid"


def env_names(name: str, field: FieldInfo) -> list[str]:
    """Environment names of a setting, the preferred one first."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [name.upper()]


def group_of(field: FieldInfo) -> str:
    """The heading a setting is listed under."""
    extra = field.json_schema_extra
    return str(extra.get("group", "")) if isinstance(extra, dict) else ""


def unit_of(field: FieldInfo) -> str:
    """The unit of a setting's value, or an empty string."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def load_settings(**overrides: Any) -> Settings:
    """Settings from flags (`overrides`), the environment and `.env`, in this order.

    Raises ConfigError naming the first wrong setting, its value and what is allowed.
    """
    try:
        return Settings(**overrides)
    except ValidationError as e:
        first = e.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        field = Settings.model_fields.get(name.lower())
        label = name.upper() if field is None else env_names(name.lower(), field)[0]
        value = first.get("input")
        raise ConfigError(f"{label}={value!r} is not allowed: {_lower_first(str(first['msg']))}") from None


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
