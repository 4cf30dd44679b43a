"""An answer of the hosted service, read: its JSON, or one of our errors, whatever shape bad news has.

Shapes met: flat `{"code", "reason", "message"}`; `{"error": {…}}`; `{"base_resp": {"status_code"}}` with HTTP 200;
web pages of something in between; garbage, nothing, half of something.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from clone.contract.cloning import (
    ACCURACY_DEFAULT,
    AUDIO_FORMATS,
    PROMPT_LIMIT_S,
    REFERENCE_MAX_S,
    REFERENCE_MIN_S,
    RETENTION,
)
from clone.core.errors import (
    AudioError,
    BusyError,
    HostedError,
    KeyRefused,
    MaybeDone,
    PromptError,
    PromptMismatch,
    Refused,
    TextError,
    TimbreError,
    VoiceError,
)


class Reason(NamedTuple):
    """What is said of one name or number."""

    kind: type[TimbreError]
    field: str | None
    message: str
    advice: str


_FORMATS = f"{', '.join(AUDIO_FORMATS[:-1])} or {AUDIO_FORMATS[-1]}"
_LENGTH = f"{REFERENCE_MIN_S:.0f} seconds to {REFERENCE_MAX_S / 60:.0f} minutes"
_LATER = "Try again in a few minutes."
_TOP_UP = "Add credit in the service's console, then try again."
_CHECK_KEY = "Copy the key again from the service's console; no space or letter may be missing."
_REPORT = "Try again later; if it stays, write to the service's support."
_NO_VOICE = f"Check the voice_id. An unused voice is deleted there after {RETENTION.total_seconds() / 3600:.0f} hours."

NAMES: dict[str, Reason] = {
    "INVALID_REQUEST_BODY": Reason(
        Refused, None, "The service found something wrong in the request.", "Check the text, model and settings."
    ),
    "INVALID_AUDIO_FILE": Reason(
        AudioError, "audio", "The service could not use the recording.", f"Give a clean {_FORMATS} of {_LENGTH}."
    ),
    "ILLEGAL_PROMPT": Reason(
        TextError, "text", "The service does not accept this text.", "Reword it: its content rules refused it."
    ),
    "BILLING_BALANCE_NOT_ENOUGH": Reason(
        KeyRefused, "api_key", "The account's balance is too low to bill this request.", _TOP_UP
    ),
    "MISSING_API_KEY": Reason(KeyRefused, "api_key", "The service got no key.", "Enter your key."),
    "FAILED_TO_AUTH": Reason(KeyRefused, "api_key", "The service does not know this key.", _CHECK_KEY),
    "INVALID_API_KEY": Reason(KeyRefused, "api_key", "The key is not valid.", _CHECK_KEY),
    "API_NOT_ALLOWED": Reason(
        KeyRefused, "api_key", "This key may not use voice cloning or speech.", "Allow it for the key, or use another."
    ),
    "FEATURE_NOT_ALLOWED": Reason(
        KeyRefused, "api_key", "This feature is not open to the account.", "Ask the service to open it."
    ),
    "NEED_REAL_NAME_VERIFY": Reason(
        KeyRefused,
        "api_key",
        "The account's holder is not verified yet.",
        "Verify the account in the service's console.",
    ),
    "BILLING_AUTH_FAILED": Reason(
        KeyRefused,
        "api_key",
        "The service could not confirm the account's billing.",
        "Check the account's payment data.",
    ),
    "NOT_ENOUGH_BALANCE": Reason(KeyRefused, "api_key", "The account has not enough balance left.", _TOP_UP),
    "API_NOT_FOUND": Reason(
        HostedError, None, "The service has nothing at this address.", "Check NOVITA_BASE_URL and the model."
    ),
    "TASK_NOT_FOUND": Reason(
        HostedError, None, "The service no longer knows this task.", "Check the balance before you ask again."
    ),
    "RATE_LIMIT_EXCEEDED": Reason(BusyError, None, "Too many requests were sent to the service.", "Wait a minute."),
    "BILLING_FAILED": Reason(HostedError, None, "The service could not bill the request.", _REPORT),
    "CREATE_TASK_FAILED": Reason(HostedError, None, "The service could not start the task.", _LATER),
    "GET_RESULT_FAILED": Reason(HostedError, None, "The service could not give out the result.", _REPORT),
    "TASK_FAILED": Reason(HostedError, None, "The service's task failed.", _REPORT),
    "SERVICE_NOT_AVAILABLE": Reason(HostedError, None, "The service is not available just now.", _LATER),
}

CODES: dict[int, Reason] = {
    1000: Reason(
        HostedError, "audio", "The service failed without saying why; often it can't decode the file.",
        f"Save the recording again as {_FORMATS} and try that.",
    ),
    1001: Reason(HostedError, None, "The service itself ran out of time.", _LATER),
    1002: Reason(BusyError, None, "The service's rate limit is reached.", "Wait a minute."),
    1004: Reason(KeyRefused, "api_key", "The service could not check this key.", _CHECK_KEY),
    1008: Reason(KeyRefused, "api_key", "The account's balance is used up.", _TOP_UP),
    1026: Reason(TextError, "text", "The service finds the text sensitive and won't speak it.", "Reword it."),
    1027: Reason(TextError, "text", "The service finds what it spoke sensitive and keeps it.", "Reword the text."),
    1042: Reason(
        TextError, "text", "More than 10 % of the text are invisible or illegal characters.", "Type it anew."
    ),
    1043: Reason(
        Refused, "accuracy", "What the service heard matches the text less than the accuracy asked for.",
        f"Correct the transcript, or lower the accuracy below {ACCURACY_DEFAULT}.",
    ),
    1044: Reason(
        PromptMismatch, "prompt_text", "The service heard something else in the prompt clip than its transcript says.",
        "Type exactly what is said in the clip.",
    ),
    2013: Reason(Refused, None, "The service found a value it does not accept.", "Check the text, model and settings."),
    2037: Reason(
        AudioError, "audio", "The service finds the recording too short or too long.", f"{_LENGTH} are accepted."
    ),
    2038: Reason(
        KeyRefused, "api_key", "Voice cloning is not enabled for the account.", "Verify the account with the service."
    ),
    2039: Reason(
        HostedError, None, "The service has a voice of this id already.", "Look among your voices first."
    ),
    2042: Reason(
        VoiceError, "voice_id", "This voice belongs to another account.", "Use the key that the voice was cloned with."
    ),
    2048: Reason(
        PromptError, "prompt_audio", "The service finds the prompt clip too long.",
        f"It must be shorter than {PROMPT_LIMIT_S:.0f} seconds.",
    ),
    2049: Reason(KeyRefused, "api_key", "The service says that this key is invalid.", _CHECK_KEY),
    2054: Reason(VoiceError, "voice_id", "The service has no voice of this id.", _NO_VOICE),
    20132: Reason(
        AudioError, "audio", "The service says that the sample or the voice_id is invalid.",
        f"Use a clean {_FORMATS} of one person speaking; check the voice_id when speaking.",
    ),
}  # fmt: skip

BY_STATUS: dict[int, Reason] = {
    401: NAMES["FAILED_TO_AUTH"],
    402: NAMES["NOT_ENOUGH_BALANCE"],
    403: Reason(KeyRefused, "api_key", "The service refuses this key.", _CHECK_KEY),
    404: NAMES["API_NOT_FOUND"],
    405: NAMES["API_NOT_FOUND"],
    413: Reason(Refused, None, "The service finds the request too big.", "Shorten the text."),
    429: NAMES["RATE_LIMIT_EXCEEDED"],
    503: NAMES["SERVICE_NOT_AVAILABLE"],
}
"""What a status alone says, where the body says nothing we know."""


log = logging.getLogger(__name__)

SHOWN_MAX_CHARS = 200
LOGGED_MAX_CHARS = 4000
MAYBE_DONE_ADVICE = (
    "It may have gone through all the same, so it is not sent again: look at voices and balance in the service's "
    "console, then keep or dismiss it among your voices."
)
RETRY_AFTER_S = 60
"""When to come back, where a 429 does not say: the documented limits are per minute."""

_TRACE = re.compile(r"[\w.:-]{1,80}")
_TRACE_HEADERS = ("trace-id", "x-trace-id", "x-request-id", "minimax-request-id")
# A number counts as a code only where it is called one: "at most 1000 characters" has none.
_CODE_INSIDE = re.compile(r"(?:code|status|err(?:or|no)?)\W{0,6}(\d{4,5})\b|[(\[](\d{4,5})[)\]]|^\W*(\d{4,5})\b", re.I)
_NAME_INSIDE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
_SECRET = re.compile(r"(?i)\b(bearer)\s+\S+|\b(?:sk|tk)[-_][\w-]{8,}")
_NOTHING_KNOWN = Reason(HostedError, None, "", "Try again later; the trace id, if there is one, helps its support.")
_QUERY = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*")


@dataclass(frozen=True)
class ServiceAnswer:
    """What came back: header names in small letters; ``complete`` unless the body broke off."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    @property
    def retry_after_s(self) -> int | None:
        """How long a 429 or 503 says to wait, in whole seconds; None when it does not say."""
        said = self.headers.get("retry-after", "").strip()
        if said.isdecimal():
            return int(said[:6])
        try:
            return max(0, round(parsedate_to_datetime(said).timestamp() - time.time()))
        except (ValueError, TypeError, OverflowError):
            return None


@dataclass(frozen=True)
class _Said:
    """The bad news in an answer, whatever its shape was."""

    message: str = ""
    name: str = ""
    code: int | None = None
    trace_id: str = ""


def content(answer: ServiceAnswer, *, key: str = "", paid: bool = False) -> dict[str, Any]:
    """Return an answer's JSON, or raise what it says.

    Args:
        answer: as it came.
        key: shown and logged nowhere, even where the service repeats it.
        paid: it answers a request that costs money, so an end that is not known becomes MaybeDone.

    Raises:
        TimbreError: of the kind and at the field that the service's reason belongs to; HostedError where we don't
            know it; MaybeDone after a 5xx, a time-out there, or an answer that can't be read, when ``paid``.
    """
    body = _json(answer.body)
    said = _said(body, answer) if isinstance(body, dict) else _Said(trace_id=_trace({}, answer))
    if answer.status == HTTPStatus.OK and isinstance(body, dict) and answer.complete and not _is_bad(body, said):
        return body
    log.warning("The hosted service answered %d: %s", answer.status, _logged(answer.body, key))
    raise _error(answer, said, key, paid)


def clean(text: str, key: str = "", limit: int = SHOWN_MAX_CHARS) -> str:
    """Return somebody else's words fit to be shown: printable, bounded, without keys or signed links."""
    if key:
        text = text.replace(key, "…")
    text = _QUERY.sub(r"\1", _SECRET.sub("…", text))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_bad(body: dict[str, Any], said: _Said) -> bool:
    """Whether an answer with HTTP 200 is bad news after all."""
    return bool(said.name or body.get("error") or said.code not in (None, 0, 200))


def _said(body: dict[str, Any], answer: ServiceAnswer) -> _Said:
    error, base = body.get("error"), body.get("base_resp")
    inner: dict[str, Any] = error if isinstance(error, dict) else base if isinstance(base, dict) else body
    words = (inner.get("message"), inner.get("status_msg"), inner.get("detail"), error, body.get("message"))
    message = next((each for each in words if isinstance(each, str) and each.strip()), "")
    name = next((str(each.get("reason") or each.get("type") or "") for each in (inner, body) if each), "")
    name = name if name in NAMES else next((each for each in _NAME_INSIDE.findall(message) if each in NAMES), "")
    code = _number(inner.get("status_code", inner.get("code")))
    if code not in CODES:
        code = _inside(message) or code
    return _Said(message, name, code, _trace(body, answer))


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _inside(message: str) -> int | None:
    found = (int(next(filter(None, groups))) for groups in _CODE_INSIDE.findall(message))
    return next((code for code in found if code in CODES), None)


def _trace(body: dict[str, Any], answer: ServiceAnswer) -> str:
    metadata = body.get("metadata")
    inside = [body.get("trace_id"), body.get("request_id")]
    inside += [metadata.get("trace_id")] if isinstance(metadata, dict) else []
    for each in (*inside, *(answer.headers.get(name) for name in _TRACE_HEADERS)):
        if isinstance(each, str) and _TRACE.fullmatch(each):
            return each
    return ""


def _error(answer: ServiceAnswer, said: _Said, key: str, paid: bool) -> TimbreError:
    known, by_status = _known(answer, said), BY_STATUS.get(answer.status)
    message = known.message if known else _unknown(answer, said, key)
    if said.trace_id:
        message += f" Its trace id is {said.trace_id}."
    # A refusal with a 4xx is one for certain, and so is a known code that says what was wrong with the request.
    unsure = answer.status >= 500 or said.code == 1001 or (answer.status < 300 and not (known or said.message))
    kind, field, _, advice = known or by_status or _NOTHING_KNOWN
    if paid and unsure:
        kind, field, advice = MaybeDone, None, MAYBE_DONE_ADVICE
    extra = {"retry_after_s": answer.retry_after_s or RETRY_AFTER_S} if kind is BusyError else {}
    error = kind(message, code=_code(said), field=field, measured=answer.status, advice=advice, **extra)
    error.trace_id, error.service_code = said.trace_id, said.code if said.code in CODES else None
    error.reason = said.name or error.reason
    return error


def _code(said: _Said) -> str:
    return said.name.lower() or (f"hosted_{said.code}" if said.code in CODES else "hosted_unknown")


def _known(answer: ServiceAnswer, said: _Said) -> Reason | None:
    """The most exact of what was said: the number, the name, the status."""
    if said.code in CODES:
        return CODES[said.code]
    if said.name:
        return NAMES[said.name]
    return None if said.message else BY_STATUS.get(answer.status)


def _unknown(answer: ServiceAnswer, said: _Said, key: str) -> str:
    if said.message:
        return f"The service answered {answer.status}: “{clean(said.message, key)}”."
    if 300 <= answer.status < 400:
        return f"The service answered {answer.status} and points elsewhere; a key is not taken there."
    if not answer.body.strip():
        return f"The service answered {answer.status} with nothing in it."
    if answer.body.lstrip()[:1] == b"<":
        return f"The service answered {answer.status} with a web page instead of an answer."
    if not answer.complete:
        return f"The service's answer, {answer.status}, broke off."
    return f"The service answered {answer.status} with something that can't be read."


def _logged(body: bytes, key: str) -> str:
    return clean(body[: 4 * LOGGED_MAX_CHARS].decode("utf-8", "replace"), key, LOGGED_MAX_CHARS)
