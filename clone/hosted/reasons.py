"""What the hosted service's own names and numbers mean to a person: a sentence, a field, and what to do.

Names stand in ``reason`` of its flat error body; the numbers are MiniMax's and stand in ``base_resp`` or inside a
message. Both lists are those of the service's documentation.
"""

from __future__ import annotations

from typing import NamedTuple

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
