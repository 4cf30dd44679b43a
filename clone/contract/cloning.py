"""The contract: MiniMax Quick Voice Cloning, as served by Novita. Every rule and number of it.

Source: https://novita.ai/docs, "MiniMax Quick Voice Cloning". Page, engine, library, command line
and API take their limits from here; no number of the contract stands anywhere else.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, field_validator, model_validator

from clone.contract.markup import check_pauses, plain
from clone.core.errors import AudioError, PromptError, Refused, TextError

AUDIO_FORMATS = ("mp3", "m4a", "wav")
REFERENCE_MIN_S = 10.0
REFERENCE_MAX_S = 300.0
REFERENCE_MAX_BYTES = 20_000_000
"""20 MB. Read as decimal megabytes, the stricter of the two readings: what passes here passes there."""

PROMPT_LIMIT_S = 8.0
"""A prompt clip must be shorter than this; exactly this long is too long."""

PROMPT_TEXT_MAX_CHARS = 500
"""Nobody says more in that time; the contract leaves it open. Ours, as comparing two texts takes their product."""

TEXT_MAX_CHARS = 2000
SPEECH_LIMIT_CHARS = 10_000
"""A text for T2A's synchronous routes must be shorter than this; longer ones go to the asynchronous ones …"""
SPEECH_TASK_MAX_CHARS = 50_000
"""… up to this."""
RETENTION = timedelta(hours=168)

ModelName = Literal[
    "speech-02-hd",
    "speech-02-turbo",
    "speech-2.5-hd-preview",
    "speech-2.5-turbo-preview",
    "speech-2.6-hd",
    "speech-2.6-turbo",
    "speech-2.8-hd",
    "speech-2.8-turbo",
]
MODELS: tuple[str, ...] = get_args(ModelName)
NEWEST = MODELS[-2:]
"""The generation whose answers to speech have the longer shape."""
Tier = Literal["hd", "turbo"]

ACCURACY_MIN = 0.0
ACCURACY_MAX = 1.0
ACCURACY_DEFAULT = 0.7
NOISE_REDUCTION_DEFAULT = False
VOLUME_NORMALIZATION_DEFAULT = False

# What may follow the last mark of a sentence: closing quotes and brackets (German closes with what others open
# with, hence Pi), and invisible marks of writing direction.
_CLOSING = {"Pe", "Pf", "Pi", "Cf"}
# Unicode counts these as punctuation, but no sentence ends with them.
_NOT_ENDING = set("@#%&*/\\§¶†‡•‰")


def tier(model: str) -> Tier:
    """Return whether a model's name is of the hd or the turbo kind."""
    return "hd" if "-hd" in model else "turbo"


def check_duration(duration_s: float) -> None:
    """Refuse a reference shorter than 10 s or longer than 5 min.

    Raises:
        AudioError: ``too_short`` or ``too_long``, measured and limit in seconds.
    """
    if duration_s < REFERENCE_MIN_S:
        length = _beyond(duration_s, REFERENCE_MIN_S)
        raise AudioError(
            f"The recording is {length} s long; at least {REFERENCE_MIN_S:.0f} s are needed.",
            code="too_short",
            field="audio",
            measured=round(duration_s, 2),
            limit=REFERENCE_MIN_S,
            advice="Record a little more; one to two minutes of natural speech is best.",
        )
    if duration_s > REFERENCE_MAX_S:
        length = clock(duration_s)
        if length == clock(REFERENCE_MAX_S):
            length += _beyond(duration_s % 1, 0.0).removeprefix("0")
        raise AudioError(
            f"The recording is {length} min long; at most {clock(REFERENCE_MAX_S)} min are accepted.",
            code="too_long",
            field="audio",
            measured=round(duration_s, 2),
            limit=REFERENCE_MAX_S,
            advice="Cut it to its best one or two minutes and try again.",
        )


def check_size(n_bytes: int) -> None:
    """Refuse a reference of more than 20 MB.

    Raises:
        AudioError: ``too_big``, measured and limit in bytes.
    """
    if n_bytes > REFERENCE_MAX_BYTES:
        size = _beyond(n_bytes / 1e6, REFERENCE_MAX_BYTES / 1e6)
        raise AudioError(
            f"The file is {size} MB; at most {REFERENCE_MAX_BYTES / 1e6:.0f} MB are accepted.",
            code="too_big",
            field="audio",
            measured=n_bytes,
            limit=REFERENCE_MAX_BYTES,
            advice="Save it at a lower bit rate (mp3 at 128 kbit/s is plenty) and try again.",
        )


def check_format(kind: str, field: str = "audio") -> None:
    """Refuse a file that is neither mp3, m4a nor wav by its content.

    Args:
        kind: as the reader names it.
        field: ``audio``, or ``prompt_audio`` for a prompt clip.

    Raises:
        AudioError: ``bad_format``; PromptError for a prompt clip.
    """
    if kind not in AUDIO_FORMATS:
        error, what = (PromptError, "prompt clip") if field == "prompt_audio" else (AudioError, "recording")
        accepted = ", ".join(AUDIO_FORMATS)
        raise error(
            f"The {what} is in the format {kind}; {accepted} are accepted.",
            code="bad_format",
            field=field,
            measured=kind,
            limit=accepted,
            advice="Save it in one of these formats and try again.",
        )


def check_prompt_duration(duration_s: float) -> None:
    """Refuse a prompt clip of 8 s or more.

    Raises:
        PromptError: ``prompt_too_long``, measured and limit in seconds.
    """
    if duration_s >= PROMPT_LIMIT_S:
        raise PromptError(
            f"The prompt clip is {duration_s:.1f} s long; it must be shorter than {PROMPT_LIMIT_S:.0f} s.",
            code="prompt_too_long",
            field="prompt_audio",
            measured=round(duration_s, 2),
            limit=PROMPT_LIMIT_S,
            advice="Cut it to one short sentence, and its transcript with it.",
        )


def check_prompt_pair(has_audio: bool, prompt_text: str | None) -> bool:
    """Refuse half a prompt; tell whether there is one.

    Raises:
        PromptError: ``prompt_half``, at the field that is missing.
    """
    has_text = bool(prompt_text and prompt_text.strip())
    if has_audio and not has_text:
        raise PromptError(
            "The prompt clip has no transcript.",
            code="prompt_half",
            field="prompt_text",
            advice="Type exactly what is said in the clip, or remove the clip.",
        )
    if has_text and not has_audio:
        raise PromptError(
            "The transcript has no prompt clip.",
            code="prompt_half",
            field="prompt_audio",
            advice="Add the clip it belongs to, or leave the transcript out.",
        )
    return has_audio


def ends_with_punctuation(text: str) -> bool:
    """Tell whether a text ends in sentence punctuation of any script, closing quotes and brackets aside."""
    for each in reversed(text):
        for c in reversed(unicodedata.normalize("NFKC", each)):  # turns full-width forms into the plain ones
            if not (c.isspace() or c in "\"'" or unicodedata.category(c) in _CLOSING):
                return unicodedata.category(c) in {"Po", "Pd"} and c not in _NOT_ENDING
    return False


def check_prompt_length(prompt_text: str) -> str:
    """Refuse a transcript longer than anything that can be said in a prompt clip; return it stripped.

    Raises:
        PromptError: ``prompt_text_too_long``, measured and limit in characters.
    """
    text = prompt_text.strip()
    if len(text) > PROMPT_TEXT_MAX_CHARS:
        raise PromptError(
            f"The transcript has {len(text):,} characters; at most {PROMPT_TEXT_MAX_CHARS:,} are accepted.",
            code="prompt_text_too_long",
            field="prompt_text",
            measured=len(text),
            limit=PROMPT_TEXT_MAX_CHARS,
            advice="Type only what is said in the clip.",
        )
    return text


def check_prompt_text(prompt_text: str) -> str:
    """Refuse a transcript that says nothing, too much, or does not end with punctuation; return it stripped.

    Raises:
        PromptError: ``prompt_no_letter``, ``prompt_text_too_long`` or ``prompt_no_punctuation``.
    """
    text = check_prompt_length(prompt_text)
    if not any(c.isalnum() for c in text):
        raise PromptError(
            "The transcript has no words.",
            code="prompt_no_letter",
            field="prompt_text",
            measured=text[:20],
            advice="Type exactly what is said in the clip.",
        )
    if not ends_with_punctuation(text):
        raise PromptError(
            f"The transcript ends with “{text[-1]}”; it must end with punctuation.",
            code="prompt_no_punctuation",
            field="prompt_text",
            measured=text[-1],
            limit="punctuation",
            advice="Add a full stop, a question mark or an exclamation mark.",
        )
    return text


def check_text(text: str, max_chars: int = TEXT_MAX_CHARS) -> str:
    """Refuse a text to speak that is too long or has no letter or digit in it; return it unchanged.

    Raises:
        TextError: ``text_too_long`` (measured and limit in characters), ``text_no_letter``, or as check_pauses().
    """
    excess = len(text) - max_chars
    if excess > 0:
        raise TextError(
            f"The text has {len(text):,} characters; at most {max_chars:,} are accepted.",
            code="text_too_long",
            field="text",
            measured=len(text),
            limit=max_chars,
            advice=f"Shorten it by {excess:,} character{'' if excess == 1 else 's'}.",
        )
    if not any(c.isalnum() for c in plain(text)):
        raise TextError(
            "The text has no letter or digit in it, so there is nothing to say.",
            code="text_no_letter",
            field="text",
            measured=0,
            limit=1,
            advice="Write at least one word.",
        )
    return check_pauses(text)


def check_model(model: str) -> str:
    """Refuse any model that is not one of the eight.

    Raises:
        TextError: ``unknown_model``.
    """
    if model not in MODELS:
        raise TextError(
            f"There is no model named “{str(model)[:40]}”.",
            code="unknown_model",
            field="model",
            measured=str(model)[:40],
            limit=", ".join(MODELS),
            advice=f"Choose one of {', '.join(MODELS)}.",
        )
    return model


def clock(duration_s: float) -> str:
    """Return seconds as minutes and seconds, rounded as players round them, for example 312.4 as ``5:12``."""
    rounded_s = int(duration_s + 0.5)
    return f"{rounded_s // 60}:{rounded_s % 60:02d}"


def _beyond(value: float, limit: float) -> str:
    """Round just finely enough that a refused value does not read as the limit it broke."""
    decimals = 1
    while round(value, decimals) == limit and decimals < 6:
        decimals += 1
    return f"{value:.{decimals}f}"


def _nullable(schema: dict[str, Any]) -> None:
    """Say in a JSON schema that an optional field may be null."""
    for name, field in schema.get("properties", {}).items():
        kinds = field.get("anyOf", [])
        if name not in schema.get("required", ()) and {"type": "null"} not in kinds:
            outer = {key: field.pop(key) for key in ("title", "description", "default") if key in field}
            schema["properties"][name] = {"anyOf": [*(kinds or [field]), {"type": "null"}], **outer}


class RequestModel(BaseModel):
    """A body, or a part of one: frozen, and null says the same as leaving an optional field out."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, json_schema_extra=_nullable)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: value for name, value in values.items() if value is not None or name not in optional}


class ClonePrompt(RequestModel):
    """``clone_prompt``: a short clip and what is said in it; both parts or none."""

    prompt_audio_url: str = Field(min_length=1)
    prompt_text: str = Field(min_length=1)

    _text = field_validator("prompt_text")(check_prompt_text)


class CloneOptions(RequestModel):
    """Everything a clone is asked for besides the recordings themselves."""

    text: str | None = None
    model: ModelName | None = None
    accuracy: Annotated[float, Field(strict=True, ge=ACCURACY_MIN, le=ACCURACY_MAX)] = ACCURACY_DEFAULT
    need_noise_reduction: StrictBool = NOISE_REDUCTION_DEFAULT
    need_volume_normalization: StrictBool = VOLUME_NORMALIZATION_DEFAULT

    @field_validator("text")
    @classmethod
    def _text(cls, text: str | None) -> str | None:
        return None if text is None else check_text(text)

    @field_validator("model", mode="before")
    @classmethod
    def _model(cls, model: Any) -> Any:
        return None if model is None else check_model(model)

    @model_validator(mode="after")
    def _text_needs_model(self) -> CloneOptions:
        if self.text is not None and self.model is None:
            raise TextError(
                "A text is given, but no model to speak it with.",
                code="text_without_model",
                field="model",
                advice=f"Choose one of {', '.join(MODELS)}, or remove the text.",
            )
        return self


class CloneRequest(CloneOptions):
    """The body of ``POST /v3/minimax-voice-cloning``."""

    audio_url: str = Field(min_length=1)
    clone_prompt: ClonePrompt | None = None


class CloneResponse(BaseModel):
    """Its answer; ``demo_audio_url`` only when both text and model were given.

    ``expires_at`` is answered by this server alone, beyond the contract: a temporary voice's end in UTC.
    """

    voice_id: str
    demo_audio_url: str | None = None
    expires_at: str | None = None


Body = TypeVar("Body", bound=BaseModel)


def parse(body: type[Body], values: Mapping[str, Any]) -> Body:
    """Build a model of the contract, raising what it refuses as one of our own errors.

    Args:
        body: CloneOptions, CloneRequest or ClonePrompt.
        values: the fields given; absent ones take the contract's defaults.

    Raises:
        Refused: the first rule that is broken, at its field.
    """
    try:
        return body.model_validate(values)
    except ValidationError as e:
        first = e.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, Refused):
            raise cause from None
        field = ".".join(map(str, first["loc"]))
        raise _refusal(first["type"], field, first["input"], first.get("ctx", {})) from None


_EXPECTED = {
    "bool_type": "true or false",
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "none_required": "null",
    "model_type": "an object",
    "dict_type": "an object",
    "model_attributes_type": "an object",
}
_LIMITS = {"ge": "at least {:g}", "gt": "above {:g}", "le": "at most {:g}", "lt": "below {:g}"}


def expected(kind: str, context: Mapping[str, Any]) -> str:
    """Return what a value must be, by pydantic's name for what is wrong with it and what it says beside."""
    if kind == "literal_error":
        return f"one of {str(context['expected']).replace(' or ', ', ')}".replace("'", "")
    if kind in ("too_long", "string_too_long"):
        what = "characters" if kind == "string_too_long" else "entries"
        return f"at most {context['max_length']} {what} long"
    limits = [said.format(context[name]) for name, said in _LIMITS.items() if name in context]
    return _EXPECTED.get(kind) or " and ".join(limits) or "as the API's document describes it"


def _refusal(kind: str, field: str, value: Any, context: Mapping[str, Any]) -> Refused:
    if field == "accuracy":
        return _accuracy_refusal(kind, _shown(value))
    error = PromptError if "prompt" in field else Refused
    if kind in {"missing", "string_too_short"}:
        code = "prompt_half" if error is PromptError else "missing"
        return error(f"{field} is {'missing' if kind == 'missing' else 'empty'}.", code=code, field=field)
    limit = expected(kind, context)
    message = f"{field} is {_shown(value)}; it must be {limit}."
    return error(message, code="invalid", field=field, measured=_shown(value), limit=limit)


def _accuracy_refusal(kind: str, shown: str) -> Refused:
    limits = f"{ACCURACY_MIN:.0f} and {ACCURACY_MAX:.0f}"
    what = "lie" if kind.endswith("_equal") else "be a number"
    return Refused(
        f"Accuracy is {shown}; it must {what} between {limits}.",
        code="accuracy",
        field="accuracy",
        measured=shown,
        limit=limits,
        advice=f"Leave it at {ACCURACY_DEFAULT} unless a correct transcript is refused.",
    )


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return f"“{value[:40]}”" if isinstance(value, str) else str(value)[:40]
