"""Why a pipeline cannot be had, and what can be done about it. Pure; needs neither torch nor pyannote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from huggingface_hub import errors as hub

from whisperlive_hybrid.errors import ModelUnavailable

WITHOUT_HUB: Final = (
    "set PYANNOTE_MODEL to a folder with a pipeline's config.yaml and its models",
    "leave PYANNOTE_MODEL and HUGGINGFACE_AUTH_TOKEN unset: the bundled model needs nothing",
)


def unavailable(model: str, token: str | None, error: Exception, *, local: bool) -> ModelUnavailable:
    """What `error` means, which came of loading `model` from the hub or, if `local`, from a folder."""
    if local:
        return ModelUnavailable(
            f"The pipeline in {model} cannot be loaded: {_first(error)}", model=model, ways_out=WITHOUT_HUB
        )
    get_token = "make a token at hf.co/settings/tokens and set HUGGINGFACE_AUTH_TOKEN to it"
    accept = f"accept the conditions at hf.co/{model} with the account of the token"
    for e in _causes(error):
        status = getattr(getattr(e, "response", None), "status_code", None)
        if isinstance(e, hub.GatedRepoError) and token is None:
            return ModelUnavailable(f"{model} is gated.", model=model, ways_out=(accept, get_token, *WITHOUT_HUB))
        if isinstance(e, hub.GatedRepoError):
            message = f"{model} is gated, and the account of HUGGINGFACE_AUTH_TOKEN has not accepted its conditions."
            return ModelUnavailable(message, model=model, ways_out=(accept, *WITHOUT_HUB))
        if status == 401 and token is not None and not isinstance(e, hub.RepositoryNotFoundError):
            message = "The hub does not know the token in HUGGINGFACE_AUTH_TOKEN."
            return ModelUnavailable(message, model=model, ways_out=(get_token, *WITHOUT_HUB))
        if isinstance(e, hub.RepositoryNotFoundError):
            message = f"There is no {model} on the hub, or it is private"
            message += "." if token is None else ", or the token in HUGGINGFACE_AUTH_TOKEN is wrong."
            return ModelUnavailable(message, model=model, ways_out=(get_token, *WITHOUT_HUB))
        if isinstance(e, hub.EntryNotFoundError) and not isinstance(e, hub.LocalEntryNotFoundError):
            return ModelUnavailable(
                f"{model} on the hub is no pipeline of pyannote.audio.", model=model, ways_out=WITHOUT_HUB
            )
        if isinstance(e, hub.LocalEntryNotFoundError | hub.OfflineModeIsEnabled | OSError):
            message = f"{model} is not on this machine, and the hub cannot be reached: {_first(e)}"
            return ModelUnavailable(message, model=model, ways_out=WITHOUT_HUB)
    return ModelUnavailable(f"{model} cannot be loaded: {_first(error)}", model=model, ways_out=WITHOUT_HUB)


def _causes(error: BaseException) -> Sequence[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 8:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain


def _first(error: BaseException) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
