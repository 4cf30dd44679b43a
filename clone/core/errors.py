"""What can go wrong, as one tree. Raised low, translated once at each edge (page, API, command line).

TimbreError                 anything we say to a person
├── Refused                 a limit or rule of the contract refuses the request (exit status 2)
│   ├── AudioError          the recording itself: too short, too long, too big, not audio, silent …
│   ├── PromptError         the prompt clip or its transcript
│   ├── TextError           the text to speak, or its model
│   ├── ConsentError        nobody confirmed that the speaker agreed
│   ├── FetchError          a URL that may not or could not be downloaded
│   └── PublishError        a recording on this machine can't be given an address for the hosted service
├── VoiceError              unknown, somebody else's, or expired voice
├── BusyError               the queue is full, or a quota is used up
├── HostedError             the hosted service can't be reached, fails, or says something we can't read
│   ├── KeyRefused          its key is missing, wrong, or not good for this
│   └── MaybeDone           a paid request broke off after it was sent: it may have gone through
├── ApiKeyError             no bearer key, or none that is known here
├── TaskError               unknown task, somebody else's, or one whose time is over
├── LibraryError            the library is held by somebody else, damaged, or does not fit the store
├── DiskFull                the disk has no room left
├── EngineError             the engine is elsewhere, and can't be reached or does not answer
├── WeightsError            a model's weights are missing or not what they should be
├── StoppingError           the app is being stopped
└── CancelledError          the person asked to stop

Names in capitals are the hosted service's own (``reason``), numbers in ``service_code`` MiniMax's.
"""

from __future__ import annotations

import errno
from typing import Any

__all__ = [
    "ApiKeyError",
    "AudioError",
    "BusyError",
    "CancelledError",
    "ConsentError",
    "DiskFull",
    "EngineError",
    "FetchError",
    "HostedError",
    "KeyRefused",
    "LibraryError",
    "MaybeDone",
    "PromptError",
    "PromptMismatch",
    "PublishError",
    "Refused",
    "StoppingError",
    "TaskError",
    "TextError",
    "TimbreError",
    "VoiceError",
    "WeightsError",
    "disk_full",
]


class TimbreError(Exception):
    """Something a person is shown.

    Args:
        message: one sentence: what happened, with the measured value and the limit in it.
        code: short machine name, for example ``too_short``.
        field: the input it belongs to: ``audio``, ``prompt_audio``, ``prompt_text``, ``text``,
            ``model``, ``accuracy``, ``consent``, ``voice_id``, ``name``, ``note``, ``file`` or ``api_key``;
            None when it belongs to none.
        measured: the measured value, with its unit in ``code``'s documentation or as text.
        limit: the limit it broke.
        advice: one sentence: what to do.
    """

    reason = "TASK_FAILED"
    status = 500
    service_code: int | None = None
    trace_id = ""
    """How the hosted service names the request in its own records, where it said so."""
    may_be_paid = False
    """Whether a request that costs money was sent, and may have been billed all the same."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "failed",
        field: str | None = None,
        measured: float | str | None = None,
        limit: float | str | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.field = field
        self.measured = measured
        self.limit = limit
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be raised in another process: as it is, whatever it was made of."""
        return _made_again, (type(self), self.args, vars(self))


def _made_again(kind: type[TimbreError], args: tuple[Any, ...], values: dict[str, Any]) -> TimbreError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(values)
    return error


class Refused(TimbreError, ValueError):
    """A limit or rule refuses the request; also a ValueError, so that pydantic carries it."""

    reason = "INVALID_REQUEST_BODY"
    status = 400


class AudioError(Refused):
    """The recording can't be used."""

    reason = "INVALID_AUDIO_FILE"


class PromptError(Refused):
    """The prompt clip or its transcript can't be used."""

    def __init__(self, message: str, **rest: Any) -> None:
        super().__init__(message, **rest)
        if self.field == "prompt_audio" and self.code != "prompt_half":
            self.reason = AudioError.reason
        if self.code == "prompt_too_long":
            self.service_code = 2048


class PromptMismatch(PromptError):
    """The prompt clip does not say what its transcript says (the service's code 1044)."""

    service_code = 1044


class TextError(Refused):
    """The text to speak, or the model to speak it with, can't be used."""


class ConsentError(Refused):
    """Nobody confirmed that the person recorded agreed to be cloned."""

    reason = "FEATURE_NOT_ALLOWED"
    status = 403


class FetchError(Refused):
    """A URL may not be downloaded, or could not be."""

    reason = "INVALID_AUDIO_FILE"


class VoiceError(TimbreError):
    """There is no such voice for this owner, or it has expired."""

    reason = "INVALID_REQUEST_BODY"
    status = 404
    service_code = 2054


class BusyError(TimbreError):
    """Too much is going on: the queue is full or a quota is used up.

    ``retry_after_s`` says when to try again.
    """

    reason = "RATE_LIMIT_EXCEEDED"
    status = 429

    def __init__(self, message: str, *, retry_after_s: int = 10, **rest: Any) -> None:
        super().__init__(message, **rest)
        self.retry_after_s = retry_after_s


class PublishError(Refused):
    """The hosted service fetches a URL, and there is no way to give the recording one."""


class HostedError(TimbreError):
    """The hosted service failed, or what it said can't be read."""

    status = 502


class KeyRefused(HostedError):
    """The hosted service needs a key, or another one."""

    reason = "INVALID_API_KEY"
    status = 403


class ApiKeyError(TimbreError):
    """A request of the API without a bearer key, or with one that is not known here."""

    reason = "INVALID_API_KEY"
    status = 403


class MaybeDone(HostedError):
    """A request that costs money was sent, and its end is not known. Nothing may repeat it by itself."""

    may_be_paid = True


class TaskError(TimbreError):
    """There is no such task for this owner, or it is no longer kept."""

    reason = "TASK_NOT_FOUND"
    status = 404


class LibraryError(TimbreError):
    """The library can't be had: ``library_busy``, which passes, or what somebody has to put right."""

    reason = "SERVICE_NOT_AVAILABLE"
    status = 503


class DiskFull(TimbreError):
    """The disk has no room left, or no more may be used of it."""

    status = 507

    def __init__(self) -> None:
        super().__init__(
            "The disk that Timbre keeps its files on is full; nothing of this was kept.",
            code="disk_full",
            advice="Make room there, or forget voices that are no longer needed, and try again.",
        )


class EngineError(TimbreError):
    """The engine is on other machines, and none of them can be asked now: that passes, or somebody has to see to it.

    ``retry_after_s`` says when to try again.
    """

    reason = "SERVICE_NOT_AVAILABLE"
    status = 503
    retry_after_s = 10


class WeightsError(TimbreError):
    """A model's weights can't be found or are not the file they should be."""

    reason = "SERVICE_NOT_AVAILABLE"
    status = 503


class StoppingError(TimbreError):
    """The app is being stopped: it takes no more work, and what goes on ends."""

    reason = "SERVICE_NOT_AVAILABLE"
    status = 503


class CancelledError(TimbreError):
    """The person asked to stop."""

    reason = "TASK_FAILED"
    status = 499


def disk_full(error: BaseException) -> DiskFull | None:
    """Return what a person is shown of an error that comes of a full disk; None for any other."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return DiskFull() if full else None
