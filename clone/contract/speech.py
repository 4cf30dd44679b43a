"""The contract's other half: speech with a cloned voice (T2A), which makes a voice permanent. Every number of it.

Source: https://novita.ai/docs, "MiniMax … text to speech" for the fields; limits as MiniMax's own T2A documents them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator

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

    Attributes:
        language: one of LANGUAGES' codes; None tells it from the text.
        pitch_range: how far the pitch moves from its mean, as a factor on semitones.
        treble_db: how much brighter.
        readings: words, and how they are read.
    """

    speed: float = 1.0
    volume: float = 1.0
    pitch: float = 0
    language: str | None = None
    pitch_range: float = 1.0
    treble_db: float = 0.0
    readings: tuple[tuple[str, str], ...] = ()

    def changed(self) -> dict[str, Any]:
        """Return what requests are known again by: what came later only where it is set, so that old keys hold."""
        own = AS_IT_IS
        return {
            name: value
            for name, value in vars(self).items()
            if name in ("speed", "volume", "pitch", "language") or value != getattr(own, name)
        }


AS_IT_IS = SpeechSettings()


@dataclass(frozen=True)
class Feeling:
    """What an emotion changes: speed and pitch range as factors, pitch in semitones, the level in dB."""

    speed: float = 1.0
    pitch: float = 0.0
    pitch_range: float = 1.0
    level_db: float = 0.0

    def on(self, how: SpeechSettings) -> SpeechSettings:
        """Return settings with this in them."""
        return replace(
            how,
            speed=min(max(how.speed * self.speed, SPEED_MIN), SPEED_MAX),
            volume=min(how.volume * 10 ** (self.level_db / 20), VOLUME_MAX),
            pitch=min(max(how.pitch + self.pitch, PITCH_MIN), PITCH_MAX),
            pitch_range=how.pitch_range * self.pitch_range,
        )


Emotion = Literal["neutral", "calm", "fluent", "happy", "sad", "angry", "fearful", "disgusted", "surprised"]
FEELINGS: dict[str, Feeling] = {
    "neutral": Feeling(),
    "calm": Feeling(0.94, 0.0, 0.8, -1.0),
    "fluent": Feeling(1.05),
    "happy": Feeling(1.07, 1.0, 1.3, 1.0),
    "sad": Feeling(0.88, -1.0, 0.7, -3.0),
    "angry": Feeling(1.08, 0.5, 1.35, 3.0),
    "fearful": Feeling(1.12, 1.5, 1.15, -1.0),
    "disgusted": Feeling(0.92, -1.0, 0.9, 0.0),
    "surprised": Feeling(1.05, 2.0, 1.5, 1.0),
}
"""Source of the directions: Scherer (2003), Vocal communication of emotion. The sizes are ours."""

READINGS_MAX = 100
READING_MAX_CHARS = 100


def respelled(text: str, readings: Iterable[tuple[str, str]]) -> str:
    """Return a text with words put as they are to be read; letters only where they are a whole word."""
    as_read = {word.casefold(): reading for word, reading in readings}
    if not as_read:
        return text
    words = sorted(as_read, key=len, reverse=True)
    pattern = "|".join(_as_word(word) for word in words)
    return re.sub(pattern, lambda found: as_read.get(found[0].casefold(), found[0]), text, flags=re.IGNORECASE)


def _as_word(word: str) -> str:
    begins, ends = (c.isascii() and c.isalnum() for c in (word[0], word[-1]))
    return ("(?<![a-zA-Z0-9])" if begins else "") + re.escape(word) + ("(?![a-zA-Z0-9])" if ends else "")


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


_IDLE = "Accepted, and without effect here."
_MARKUP = "<#0.5#> is half a second of silence; (laughs) and its like are left out."
MIX_MAX = 4
ShortText = Annotated[StrictStr, Field(max_length=_WORD_MAX_CHARS)]


class VoiceSetting(RequestModel):
    """Which voice, and how it speaks."""

    voice_id: StrictStr = Field(min_length=1, description="A voice of yours: its voice_id, or its name.")
    speed: Annotated[float, Field(strict=True, ge=SPEED_MIN, le=SPEED_MAX, description="1.0 is its own.")] = 1.0
    vol: Annotated[float, Field(strict=True, gt=0, le=VOLUME_MAX, description="A gain; peaks are held back.")] = 1.0
    pitch: Annotated[StrictInt, Field(ge=PITCH_MIN, le=PITCH_MAX, description="Semitones.")] = 0
    emotion: Emotion | None = Field(
        None, description="Changes speed, pitch, pitch range and level; any other is refused."
    )
    latex_read: StrictBool = Field(False, description=_IDLE)
    text_normalization: StrictBool = Field(False, description=_IDLE)
    english_normalization: StrictBool = Field(False, description=_IDLE)

    @property
    def settings(self) -> SpeechSettings:
        """How it speaks, without the voice."""
        how = SpeechSettings(self.speed, self.vol, self.pitch)
        return FEELINGS[self.emotion].on(how) if self.emotion else how


class TimbreWeight(RequestModel):
    """A voice's share in a mix."""

    voice_id: StrictStr = Field(min_length=1, description="A voice of yours.")
    weight: Annotated[StrictInt, Field(ge=1, le=100)]


class PronunciationDict(RequestModel):
    """How words are read."""

    tone: list[StrictStr] = Field(
        default_factory=list,
        max_length=READINGS_MAX,
        description="“word/reading”, such as “omg/oh my god” or, in Chinese, “处理/(chu3)(li3)”.",
    )

    @field_validator("tone")
    @classmethod
    def _tone(cls, tone: list[str]) -> list[str]:
        for each in tone:
            word, _, reading = each.partition("/")
            if not (word.strip() and reading.strip()) or max(len(word), len(reading)) > READING_MAX_CHARS:
                raise _reading_refusal(each)
        return tone

    @property
    def readings(self) -> tuple[tuple[str, str], ...]:
        """The words and their readings."""
        split = (each.partition("/") for each in self.tone)
        return tuple((word.strip(), reading.strip()) for word, _, reading in split)


Amount = Annotated[StrictInt, Field(ge=-100, le=100)]
MODIFY_SEMITONES, MODIFY_LEVEL_DB, MODIFY_RANGE, MODIFY_TREBLE_DB = 6.0, 4.0, 0.25, 6.0
"""What ±100 of voice_modify come to."""


class VoiceModify(RequestModel):
    """The voice, changed."""

    pitch: Amount = Field(0, description=f"Deeper or brighter: ±100 are {MODIFY_SEMITONES:.0f} semitones.")
    intensity: Amount = Field(0, description="Stronger (-100: louder, livelier) or softer (100).")
    timbre: Amount = Field(0, description=f"Fuller (-100) or crisper (100: {MODIFY_TREBLE_DB:.0f} dB more treble).")
    sound_effects: None = Field(None, description="None is made here: any but null is refused.")

    def on(self, how: SpeechSettings) -> SpeechSettings:
        """Return settings with this in them."""
        softer = self.intensity / 100
        moved = Feeling(1.0, self.pitch / 100 * MODIFY_SEMITONES, 1 - softer * MODIFY_RANGE, -softer * MODIFY_LEVEL_DB)
        return replace(moved.on(how), treble_db=self.timbre / 100 * MODIFY_TREBLE_DB)


class AudioSetting(RequestModel):
    """What kind of file the speech becomes; pcm is 16-bit little-endian."""

    sample_rate: SampleRate = Field(32000, description="Hz; audio_sample_rate says the same.")
    bitrate: Bitrate = Field(128000, description="Bits per second; of mp3 alone.")
    format: AudioFormat = "mp3"
    channel: Literal[1, 2] = Field(1, description="2 repeats the one channel.")

    @model_validator(mode="before")
    @classmethod
    def _other_name(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("audio_sample_rate") is None:
            return values
        return {"sample_rate": values["audio_sample_rate"]} | {k: v for k, v in values.items() if v is not None}

    @field_validator("sample_rate", "bitrate", "channel", mode="before")
    @classmethod
    def _integer(cls, value: object) -> object:
        if type(value) is not int:  # True and 8000.0 are equal to members of a Literal
            raise ValueError("not a whole number")
        return value


@dataclass(frozen=True)
class OutputFormat:
    """What kind of file speech becomes, in any dialect: Hz, bits per second, channels."""

    format: str
    sample_rate: int
    bitrate: int = 128000
    channel: int = 1


_BOOST = f"{', '.join(LANGUAGES.values())}: read as this. Anything else: told from the text."


class SpeechParameters(RequestModel):
    """What every request to speak says beside its text."""

    voice_setting: VoiceSetting
    audio_setting: AudioSetting = AudioSetting()
    language_boost: ShortText | None = Field(None, description=_BOOST)
    pronunciation_dict: PronunciationDict | None = None
    timbre_weights: list[TimbreWeight] | None = Field(
        None,
        max_length=MIX_MAX,
        description=f"A mix of up to {MIX_MAX} voices; voice_setting.voice_id is not used then.",
    )
    voice_modify: VoiceModify | None = None
    aigc_watermark: StrictBool = Field(False, description=f"{_IDLE} Every file says in its tags that it is AI-made.")

    @model_validator(mode="before")
    @classmethod
    def _voice_of_mix(cls, values: Any) -> Any:
        """Take the misspelled name that older clients send, and need no other voice where there is a mix."""
        if not isinstance(values, Mapping):
            return values
        mix = values.get("timbre_weights") or values.get("timber_weights")
        if not (isinstance(mix, list) and mix):
            return {name: value for name, value in values.items() if name != "timbre_weights" or value}
        first = mix[0].get("voice_id") if isinstance(mix[0], Mapping) else None
        setting = values.get("voice_setting")
        setting = {} if setting is None else setting
        if isinstance(setting, Mapping) and not setting.get("voice_id"):
            setting = {**setting, "voice_id": first}
        return {**values, "timbre_weights": mix, "voice_setting": setting}

    @property
    def settings(self) -> SpeechSettings:
        """How it is to be spoken."""
        how = replace(self.voice_setting.settings, language=language_code(self.language_boost))
        if self.voice_modify:
            how = self.voice_modify.on(how)
        return replace(how, readings=self.pronunciation_dict.readings) if self.pronunciation_dict else how

    @property
    def mix(self) -> tuple[tuple[str, float], ...]:
        """The voices that are mixed, and their weights; none where one voice speaks."""
        return tuple((each.voice_id, float(each.weight)) for each in self.timbre_weights or ())


class StreamOptions(RequestModel):
    """How a stream ends."""

    exclude_aggregated_audio: StrictBool = Field(False, description="The last event leaves out the whole audio.")


class SpeechRequest(SpeechParameters):
    """The body of ``POST /v3/minimax-{model}``."""

    text: StrictStr = Field(min_length=1, description=f"Fewer than {SPEECH_LIMIT_CHARS:,} characters. {_MARKUP}")
    stream: StrictBool = Field(False, description="Answer with server-sent events, a sentence each; always in hex.")
    stream_options: StreamOptions | None = None
    output_format: Literal["hex", "url"] = "hex"
    subtitle_enable: StrictBool = Field(
        False, description="When each sentence is said: a link, subtitle_file, to JSON."
    )
    continuous_sound: StrictBool = Field(False, description=_IDLE)

    @field_validator("text")
    @classmethod
    def _text(cls, text: str) -> str:
        return check_speech_text(text)

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


class AsyncSpeechRequest(SpeechParameters):
    """The body of ``POST /v3/async/minimax-{model}``."""

    text: StrictStr = Field(min_length=1, description=f"At most {SPEECH_TASK_MAX_CHARS:,} characters. {_MARKUP}")

    @field_validator("text")
    @classmethod
    def _text(cls, text: str) -> str:
        return check_text(text, SPEECH_TASK_MAX_CHARS)


def _reading_refusal(entry: str) -> Refused:
    return Refused(
        f"pronunciation_dict.tone has “{entry[:40]}”; it must be “word/reading”, each up to {READING_MAX_CHARS} long.",
        code="reading",
        field="pronunciation_dict.tone",
        measured=entry[:40],
        limit="word/reading",
        advice="Write it as “omg/oh my god”.",
    )
