"""The contract's other half: speech with a cloned voice (T2A), which makes a voice permanent. Every number of it.

Source: https://novita.ai/docs, "MiniMax … text to speech" for the fields; limits as MiniMax's own T2A documents them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Literal, get_args

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator

from clone.contract.cloning import SPEECH_LIMIT_CHARS, SPEECH_TASK_MAX_CHARS, RequestModel, check_text
from clone.core.errors import Refused, TextError

SPEED_MIN, SPEED_MAX = 0.5, 2.0
VOLUME_MAX = 10.0
"""A volume must be above 0."""
PITCH_MIN, PITCH_MAX = -12, 12
"""Semitones."""

SampleRate = Literal[8000, 16000, 22050, 24000, 32000, 44100]
SAMPLE_RATES: tuple[int, ...] = get_args(SampleRate)
"""Hz, ascending."""
Bitrate = Literal[32000, 64000, 128000, 256000]
AudioFormat = Literal["mp3", "wav", "flac", "pcm"]
SPEECH_FORMATS: tuple[str, ...] = get_args(AudioFormat)
LINK_LIFETIME = timedelta(hours=24)
"""How long a URL of audio lives."""

LANGUAGES = {
    "en": "English", "zh": "Chinese", "ja": "Japanese", "es": "Spanish", "fr": "French", "it": "Italian",
    "pt": "Portuguese", "hi": "Hindi",
}  # fmt: skip
"""Of the languages that ``language_boost`` names, those that are spoken here too, by ISO 639-1 code."""

AUTO = "auto"
"""``language_boost`` for: tell it from the text."""

TASK_STATUSES = ("TASK_STATUS_QUEUED", "TASK_STATUS_PROCESSING", "TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED")
_WORD_MAX_CHARS = 40


@dataclass(frozen=True)
class SpeechSettings:
    """How a text is spoken: speed 1.0, volume 1.0 and pitch 0 semitones are the voice's own.

    ``language`` is one of LANGUAGES' codes; None tells it from the text.
    """

    speed: float = 1.0
    volume: float = 1.0
    pitch: int = 0
    language: str | None = None


AS_IT_IS = SpeechSettings()


def language_code(word: str | None) -> str | None:
    """Return the code of a ``language_boost``; None for auto and what is not spoken here: then the text decides."""
    return next((code for code, name in LANGUAGES.items() if name == word), None)


def check_language(given: str | None) -> str | None:
    """Return the code of a language that a person named by its code or its name; None for auto and for nothing.

    Raises:
        Refused: ``language``: it is none of LANGUAGES.
    """
    asked = (given or AUTO).strip().casefold()
    if asked == AUTO:
        return None
    for code, name in LANGUAGES.items():
        if asked in (code, name.casefold()):
            return code
    known = ", ".join((AUTO, *LANGUAGES.values()))
    raise Refused(
        f"“{asked[:40]}” is no language that is spoken here.",
        code="language",
        field="language",
        measured=asked[:40],
        limit=known,
        advice=f"Choose one of {known}.",
    )


def check_settings(settings: SpeechSettings) -> SpeechSettings:
    """Refuse a speed, volume or pitch outside its range; return them unchanged.

    Raises:
        Refused: ``speed``, ``volume`` or ``pitch``, measured and limit as text.
    """
    _check_range("speed", settings.speed, SPEED_MIN <= settings.speed <= SPEED_MAX, f"{SPEED_MIN} to {SPEED_MAX}")
    _check_range("volume", settings.volume, 0 < settings.volume <= VOLUME_MAX, f"above 0, up to {VOLUME_MAX:.0f}")
    _check_range("pitch", settings.pitch, PITCH_MIN <= settings.pitch <= PITCH_MAX, f"{PITCH_MIN} to {PITCH_MAX}")
    return settings


def _check_range(name: str, value: float, is_within: bool, limits: str) -> None:
    if not is_within:
        raise Refused(
            f"The {name} is {value:g}; it must be {limits}.",
            code=name,
            field=name,
            measured=f"{value:g}",
            limit=limits,
            advice="Leave it out for the voice's own.",
        )


def check_speech_text(text: str) -> str:
    """Refuse a text that is too long to be spoken at once, or has no letter or digit; return it unchanged.

    Raises:
        TextError: ``text_too_long``, measured and limit in characters, or ``text_no_letter``.
    """
    try:
        return check_text(text, SPEECH_LIMIT_CHARS - 1)
    except TextError as e:
        if e.code == "text_too_long" and len(text) <= SPEECH_TASK_MAX_CHARS:
            e.advice += " Longer texts are spoken asynchronously."
        raise


Word = Annotated[StrictStr, Field(max_length=_WORD_MAX_CHARS)]


class VoiceSetting(RequestModel):
    """Which voice, and how it speaks."""

    voice_id: StrictStr = Field(min_length=1, description="A voice of yours, as cloning answered it.")
    speed: Annotated[float, Field(strict=True, ge=SPEED_MIN, le=SPEED_MAX, description="1.0 is its own.")] = 1.0
    vol: Annotated[float, Field(strict=True, gt=0, le=VOLUME_MAX, description="A gain; peaks are held back.")] = 1.0
    pitch: Annotated[StrictInt, Field(ge=PITCH_MIN, le=PITCH_MAX, description="Semitones.")] = 0
    emotion: Word | None = Field(None, description="Accepted, and without effect here.")

    @property
    def settings(self) -> SpeechSettings:
        """How it speaks, without the voice."""
        return SpeechSettings(self.speed, self.vol, self.pitch)


class AudioSetting(RequestModel):
    """What kind of file the speech becomes; pcm is 16-bit little-endian."""

    sample_rate: SampleRate = Field(32000, description="Hz.")
    bitrate: Bitrate = Field(128000, description="Bits per second; of mp3 alone.")
    format: AudioFormat = "mp3"
    channel: Literal[1, 2] = Field(1, description="2 repeats the one channel.")

    @field_validator("sample_rate", "bitrate", "channel", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        if type(value) is not int:  # True and 8000.0 are equal to members of a Literal
            raise ValueError("not a whole number")
        return value


_BOOST = f"{', '.join(LANGUAGES.values())}: read as this. Anything else: told from the text."


class SpeechRequest(RequestModel):
    """The body of ``POST /v3/minimax-{model}``."""

    text: StrictStr = Field(min_length=1, description=f"Fewer than {SPEECH_LIMIT_CHARS:,} characters.")
    voice_setting: VoiceSetting
    audio_setting: AudioSetting = AudioSetting()
    language_boost: Word | None = Field(None, description=_BOOST)
    stream: StrictBool = Field(False, description="Answer with server-sent events, a sentence each; always in hex.")
    output_format: Literal["hex", "url"] = "hex"

    @field_validator("text")
    @classmethod
    def _text(cls, text: str) -> str:
        return check_speech_text(text)

    @property
    def settings(self) -> SpeechSettings:
        """How it is to be spoken."""
        return replace(self.voice_setting.settings, language=language_code(self.language_boost))

    def check_stream(self) -> None:
        """Refuse to stream a wav, whose header tells a length that is not known yet.

        Raises:
            Refused: ``stream_wav``.
        """
        if self.stream and self.audio_setting.format == "wav":
            raise Refused(
                "audio_setting.format is “wav”, which can't be streamed: its header tells the whole length.",
                code="stream_wav",
                field="audio_setting.format",
                measured="wav",
                limit="mp3, flac, pcm",
                advice="Ask for mp3, flac or pcm, or leave stream out.",
            )


class AsyncSpeechRequest(RequestModel):
    """The body of ``POST /v3/async/minimax-{model}``."""

    text: StrictStr = Field(min_length=1, description=f"At most {SPEECH_TASK_MAX_CHARS:,} characters.")
    voice_setting: VoiceSetting
    audio_setting: AudioSetting = AudioSetting()
    language_boost: Word | None = Field(None, description=_BOOST)

    @field_validator("text")
    @classmethod
    def _text(cls, text: str) -> str:
        return check_text(text, SPEECH_TASK_MAX_CHARS)

    @property
    def settings(self) -> SpeechSettings:
        """How it is to be spoken."""
        return replace(self.voice_setting.settings, language=language_code(self.language_boost))
