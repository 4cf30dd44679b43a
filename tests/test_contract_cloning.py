"""Every rule of the contract at its boundary."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from clone.contract import cloning
from clone.contract.cloning import CloneOptions, ClonePrompt, CloneRequest, parse
from clone.contract.speech import AsyncSpeechRequest, SpeechRequest
from clone.core.errors import AudioError, PromptError, Refused, TextError

EIGHT = [
    "speech-02-hd",
    "speech-02-turbo",
    "speech-2.5-hd-preview",
    "speech-2.5-turbo-preview",
    "speech-2.6-hd",
    "speech-2.6-turbo",
    "speech-2.8-hd",
    "speech-2.8-turbo",
]


def test_numbers_are_the_contracts() -> None:
    assert cloning.AUDIO_FORMATS == ("mp3", "m4a", "wav")
    assert (cloning.REFERENCE_MIN_S, cloning.REFERENCE_MAX_S) == (10, 5 * 60)
    assert cloning.REFERENCE_MAX_BYTES == 20_000_000
    assert cloning.PROMPT_LIMIT_S == 8
    assert cloning.TEXT_MAX_CHARS == 2000
    assert cloning.RETENTION == timedelta(days=7) == timedelta(hours=168)
    assert list(cloning.MODELS) == EIGHT


def test_a_format_outside_the_contract_is_refused() -> None:
    for kind in cloning.AUDIO_FORMATS:
        cloning.check_format(kind)
    with pytest.raises(AudioError, match="The recording is in the format ogg") as refused:
        cloning.check_format("ogg")
    assert (refused.value.code, refused.value.measured, refused.value.limit) == ("bad_format", "ogg", "mp3, m4a, wav")
    with pytest.raises(PromptError, match="The prompt clip") as refused_prompt:
        cloning.check_format("webm", "prompt_audio")
    assert refused_prompt.value.field == "prompt_audio"


def test_null_is_absent_for_every_optional_field() -> None:
    nothing = {"text": None, "model": None, "accuracy": None, "clone_prompt": None}
    nothing |= {"need_noise_reduction": None, "need_volume_normalization": None}
    assert parse(CloneRequest, {"audio_url": "u"} | nothing) == parse(CloneRequest, {"audio_url": "u"})
    with pytest.raises(Refused, match="audio_url is null"):
        parse(CloneRequest, {"audio_url": None})
    voice = {"voice_id": "v"}
    said = {"text": "Hello.", "voice_setting": voice}
    unset = voice | {"speed": None, "vol": None, "pitch": None, "emotion": None}
    how = {"audio_setting": {"sample_rate": None, "bitrate": None, "format": None, "channel": None}}
    for kind, more in ((SpeechRequest, {"stream": None, "output_format": None}), (AsyncSpeechRequest, {})):
        everything = said | {"voice_setting": unset, "language_boost": None} | how | more
        assert parse(kind, everything) == parse(kind, everything | {"audio_setting": None}) == parse(kind, said)
        with pytest.raises(Refused):
            parse(kind, said | {"voice_setting": {"voice_id": None}})


# recordings


@pytest.mark.parametrize("duration_s", [10.0, 10.01, 60, 299.99, 300.0])
def test_durations_accepted(duration_s: float) -> None:
    cloning.check_duration(duration_s)


@pytest.mark.parametrize(
    ("duration_s", "code", "limit", "said"),
    [
        (0.0, "too_short", 10, "0.0 s"),
        (9.2, "too_short", 10, "9.2 s"),
        (9.99, "too_short", 10, "9.99 s"),
        (9.999, "too_short", 10, "9.999 s"),
        (300.01, "too_long", 300, "5:00.01"),
        (312.4, "too_long", 300, "5:12"),
        (3600.0, "too_long", 300, "60:00"),
    ],
)
def test_durations_refused(duration_s: float, code: str, limit: float, said: str) -> None:
    with pytest.raises(AudioError) as refusal:
        cloning.check_duration(duration_s)
    assert refusal.value.code == code
    assert refusal.value.field == "audio"
    assert refusal.value.limit == limit
    assert said in refusal.value.message
    assert refusal.value.advice


def test_size_at_its_limit() -> None:
    cloning.check_size(20_000_000)
    with pytest.raises(AudioError, match="at most 20 MB") as refusal:
        cloning.check_size(20_000_001)
    assert refusal.value.code == "too_big"
    assert refusal.value.measured == 20_000_001
    assert "20.000001 MB" in refusal.value.message
    with pytest.raises(AudioError, match=r"is 34\.2 MB"):
        cloning.check_size(34_200_000)


# prompt clip and transcript


@pytest.mark.parametrize("duration_s", [0.5, 7.9, 7.99, 7.9999])
def test_prompt_durations_accepted(duration_s: float) -> None:
    cloning.check_prompt_duration(duration_s)


@pytest.mark.parametrize("duration_s", [8.0, 8.01, 30.0])
def test_prompt_durations_refused(duration_s: float) -> None:
    with pytest.raises(PromptError, match="shorter than 8 s") as refusal:
        cloning.check_prompt_duration(duration_s)
    assert refusal.value.code == "prompt_too_long"
    assert refusal.value.field == "prompt_audio"


@pytest.mark.parametrize(
    ("has_audio", "text", "field"),
    [(True, None, "prompt_text"), (True, "  ", "prompt_text"), (False, "Hello.", "prompt_audio")],
)
def test_half_a_prompt_is_refused(has_audio: bool, text: str | None, field: str) -> None:
    with pytest.raises(PromptError) as refusal:
        cloning.check_prompt_pair(has_audio, text)
    assert refusal.value.code == "prompt_half"
    assert refusal.value.field == field


def test_a_whole_prompt_and_none() -> None:
    assert cloning.check_prompt_pair(True, "Hello.") is True
    assert cloning.check_prompt_pair(False, None) is False
    assert cloning.check_prompt_pair(False, " ") is False


@pytest.mark.parametrize(
    "text",
    [
        "Hello.",
        "Hello!",
        "Hello?",
        "Well…",
        "Well...",
        "First this;",
        "As follows:",
        "and then,",
        "I was about to —",
        "¿Qué tal?",
        "नमस्ते।",
        "नमस्ते॥",
        "مرحبا؟",
        "پہلا جملہ۔",
        "你好。",
        "你好！",
        "你好？",
        "こんにちは．",
        "ሰላም።",
        "Բարև։",
        "សួស្តី។",
        "བཀྲ་ཤིས།",
        "ᠰᠠᠢᠨ᠃",
        "Γεια;",
        "Γεια\u037e",
        'He said "hello."',
        "He said “hello.”",
        "He said ‘hello.’",
        "„Hallo.“",
        "« Bonjour. »",
        "「こんにちは。」",
        "『你好！』",
        "(Hello.)",
        "Hello.  \n",
        "مرحبا؟\u200f",
        "“He said ‘no.’”",
    ],
)
def test_transcripts_that_end_with_punctuation(text: str) -> None:
    assert cloning.ends_with_punctuation(text)
    assert cloning.check_prompt_text(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    ["Hello", "Hello there ", "你好", "नमस्ते", "“Hello”", "(Hello)", "Hello 5", "All of 100 %", "me@", "C#", "and/",
     "Hi *", "＃Hi＃", "Hi §", "Hi •", "Hi \u200b", "Hi $", "Hi +", "Hi 🙂"],
)  # fmt: skip
def test_transcripts_that_do_not(text: str) -> None:
    assert not cloning.ends_with_punctuation(text)
    with pytest.raises(PromptError, match="must end with punctuation") as refusal:
        cloning.check_prompt_text(text)
    assert refusal.value.code == "prompt_no_punctuation"
    assert refusal.value.field == "prompt_text"


@pytest.mark.parametrize("text", ["", "  ", "…", "?!", "-."])
def test_transcripts_without_words(text: str) -> None:
    with pytest.raises(PromptError) as refusal:
        cloning.check_prompt_text(text)
    assert refusal.value.code == "prompt_no_letter"


# text and model


def test_text_at_its_limit() -> None:
    assert cloning.check_text("a" * 2000) == "a" * 2000
    with pytest.raises(TextError, match=r"2,001 characters; at most 2,000") as refusal:
        cloning.check_text("a" * 2001)
    assert (refusal.value.code, refusal.value.measured, refusal.value.limit) == ("text_too_long", 2001, 2000)
    assert refusal.value.advice == "Shorten it by 1 character."
    with pytest.raises(TextError) as refusal:
        cloning.check_text("a" * 3500)
    assert refusal.value.advice == "Shorten it by 1,500 characters."


def test_characters_are_counted_not_bytes() -> None:
    cloning.check_text("語" * 2000)


@pytest.mark.parametrize("text", ["123 456", "07:30", "½", "٣٤", "a"])
def test_digits_alone_are_text(text: str) -> None:
    assert parse(CloneOptions, {"text": text, "model": EIGHT[0]}).text == text


@pytest.mark.parametrize("text", ["", "   ", "- – —", "?!…", "🙂"])
def test_text_without_a_letter(text: str) -> None:
    with pytest.raises(TextError) as refusal:
        parse(CloneOptions, {"text": text, "model": EIGHT[0]})
    assert refusal.value.code == "text_no_letter"


@pytest.mark.parametrize("model", EIGHT)
def test_each_of_the_eight_models(model: str) -> None:
    assert parse(CloneOptions, {"text": "Hello", "model": model}).model == model
    assert cloning.tier(model) == ("hd" if "hd" in model else "turbo")


@pytest.mark.parametrize(
    "model", ["speech-01-hd", "speech-01-turbo", "speech-2.8", "SPEECH-02-HD", "speech-02-hd ", "", 3, ["x"]]
)
def test_no_other_model(model: Any) -> None:
    with pytest.raises(TextError) as refusal:
        parse(CloneOptions, {"text": "Hello", "model": model})
    assert refusal.value.code == "unknown_model"
    assert refusal.value.field == "model"
    assert all(name in refusal.value.advice for name in EIGHT)


def test_a_text_needs_a_model() -> None:
    with pytest.raises(TextError) as refusal:
        parse(CloneOptions, {"text": "Hello"})
    assert refusal.value.code == "text_without_model"
    assert refusal.value.field == "model"


def test_a_model_needs_no_text() -> None:
    assert parse(CloneOptions, {"model": EIGHT[0]}).text is None


# the numbers and switches


@pytest.mark.parametrize("accuracy", [0, 0.0, 0.7, 1, 1.0])
def test_accuracy_accepted(accuracy: float) -> None:
    assert parse(CloneOptions, {"accuracy": accuracy}).accuracy == accuracy


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (-0.01, "Accuracy is -0.01; it must lie between 0 and 1."),
        (1.01, "Accuracy is 1.01; it must lie between 0 and 1."),
        (1.2, "Accuracy is 1.2; it must lie between 0 and 1."),
        (math.inf, "Accuracy is inf; it must lie between 0 and 1."),
        (math.nan, "Accuracy is nan; it must"),
        ("0.7", "Accuracy is “0.7”; it must be a number between 0 and 1."),
        (True, "Accuracy is true; it must be a number between 0 and 1."),
        ([0.5], "Accuracy is [0.5]; it must be a number between 0 and 1."),
    ],
)
def test_accuracy_refused(accuracy: Any, said: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse(CloneOptions, {"accuracy": accuracy})
    assert refusal.value.message.startswith(said)
    assert refusal.value.field == "accuracy"
    assert refusal.value.limit == "0 and 1"


@pytest.mark.parametrize("field", ["need_noise_reduction", "need_volume_normalization"])
@pytest.mark.parametrize(("value", "shown"), [("true", "“true”"), (1, "1"), (0, "0"), ("", "“”")])
def test_switches_are_strict(field: str, value: Any, shown: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse(CloneOptions, {field: value})
    assert refusal.value.message == f"{field} is {shown}; it must be true or false."
    assert refusal.value.field == field


def test_defaults() -> None:
    options = parse(CloneOptions, {})
    assert options.model_dump() == {
        "text": None,
        "model": None,
        "accuracy": 0.7,
        "need_noise_reduction": False,
        "need_volume_normalization": False,
    }
    assert parse(CloneRequest, {"audio_url": "https://example.com/voice.mp3"}).clone_prompt is None


# whole bodies


def test_the_contracts_example_with_an_accepted_model() -> None:
    body = parse(
        CloneRequest,
        {
            "audio_url": "https://example.com/voice.mp3",
            "text": "Audio generation technology is evolving rapidly.",
            "model": "speech-02-hd",
            "need_noise_reduction": True,
            "need_volume_normalization": True,
        },
    )
    assert body.need_noise_reduction
    assert body.need_volume_normalization


def test_the_contracts_own_example_names_a_model_it_does_not_have() -> None:
    with pytest.raises(TextError, match="speech-01-hd"):
        parse(CloneRequest, {"audio_url": "https://example.com/a.mp3", "text": "Hello", "model": "speech-01-hd"})


@pytest.mark.parametrize(
    ("prompt", "field", "code"),
    [
        ({"prompt_text": "Hello."}, "clone_prompt.prompt_audio_url", "prompt_half"),
        ({"prompt_audio_url": "https://example.com/a.mp3"}, "clone_prompt.prompt_text", "prompt_half"),
        ({"prompt_audio_url": "", "prompt_text": "Hello."}, "clone_prompt.prompt_audio_url", "prompt_half"),
        (
            {"prompt_audio_url": "https://example.com/a.mp3", "prompt_text": "Hello"},
            "prompt_text",
            "prompt_no_punctuation",
        ),
        ("https://example.com/a.mp3", "clone_prompt", "invalid"),
    ],
)
def test_prompts_of_a_body(prompt: Any, field: str, code: str) -> None:
    with pytest.raises(PromptError) as refusal:
        parse(CloneRequest, {"audio_url": "https://example.com/voice.mp3", "clone_prompt": prompt})
    assert (refusal.value.field, refusal.value.code) == (field, code)


def test_a_whole_prompt_of_a_body() -> None:
    prompt = parse(ClonePrompt, {"prompt_audio_url": "https://example.com/a.mp3", "prompt_text": " Hello. "})
    assert prompt.prompt_text == "Hello."


@pytest.mark.parametrize(("values", "said"), [({}, "audio_url is missing."), ({"audio_url": ""}, "audio_url is empty."),
                                              ({"audio_url": 5}, "audio_url is 5; it must be a text.")])  # fmt: skip
def test_audio_url_is_required(values: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse(CloneRequest, values)
    assert refusal.value.message == said


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(Refused) as refusal:
        parse(CloneOptions, {"need_noise_reduction": "x" * 5000})
    assert len(refusal.value.message) < 200


def test_bodies_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(CloneOptions, {}).accuracy = 0.1  # type: ignore[misc]


def test_clock() -> None:
    assert cloning.clock(312.4) == "5:12"
    assert cloning.clock(26.4) == "0:26"
    assert cloning.clock(26.5) == "0:27"  # as a player of it says
    assert cloning.clock(59.9) == "1:00"
    assert cloning.clock(300) == "5:00"
