"""Which language a text is in, and what is said of those that are not spoken."""

from __future__ import annotations

import pytest

from clone.contract.speech import LANGUAGES
from clone.core.errors import TextError
from clone.engine.g2p import espeak
from clone.engine.g2p.languages import EXTRA, EXTRA_LICENCE, NAMES, can_speak, check, detected

ENGLISH = [
    "Hi!",
    "OK.",
    "No.",
    "A",
    "Thanks, Maria.",
    "Amélie",
    "Zoë Müller",
    "Björn Ångström",
    "José García lives in São Paulo.",
    "François Hollande met Angela Merkel.",
    "Happy birthday, Klaus-Dieter Schröder!",
    "Tokyo, Osaka, Kyoto and Nagoya",
    "IBM, NASA, UNESCO",
    "ha ha ha",
    "It costs $5.",
    "$1,234.56 each",
    "hello my name is",
    "MINIMAX VOICE CLONING",
    "Supercalifragilisticexpialidocious",
    "The word 猫 means cat in Japanese.",
    "The train to the coast leaves at nine.",
    "Ｆｕｌｌ ｗｉｄｔｈ ｌｅｔｔｅｒｓ ａｒｅ Ｌａｔｉｎ ｔｏｏ．",
    "word " * 300,
]

FOREIGN = [
    ("French", "Le train part à neuf heures demain matin."),
    ("French", "Où est la gare ?"),
    ("German", "Der Zug an die Küste fährt um neun Uhr ab."),
    ("German", "Guten Morgen, wie geht es Ihnen?"),
    ("Spanish", "El tren a la costa sale a las nueve."),
    ("Spanish", "¿Dónde está la biblioteca?"),
    ("Dutch", "De trein naar de kust vertrekt om negen uur."),
    ("Dutch", "Goedemorgen, hoe gaat het met u?"),
    ("Italian", "Il treno per la costa parte alle nove."),
    ("Portuguese", "O comboio para a costa parte às nove."),
    ("Chinese", "去海边的火车九点开。"),
    ("Chinese", "你好"),
    ("Russian", "Поезд на побережье отправляется в девять."),
    ("Hindi", "तट के लिए ट्रेन नौ बजे निकलती है।"),
    ("Japanese", "海岸行きの列車は九時に出ます。"),
    ("Japanese", "こんにちは"),
    ("Korean", "해안행 기차는 아홉 시에 출발합니다."),
    ("Arabic", "يغادر القطار إلى الساحل في التاسعة."),
]


SPOKEN = [(name, text) for name, text in FOREIGN if name in LANGUAGES.values()]
UNSPOKEN = [(name, text) for name, text in FOREIGN if name not in LANGUAGES.values()]


@pytest.mark.parametrize("text", ENGLISH, ids=lambda text: text[:30])
def test_english_passes_short_ones_and_names_too(text: str) -> None:
    assert check(text) == "en"


@pytest.mark.parametrize(("language", "text"), FOREIGN, ids=lambda each: each[:12])
def test_the_language_is_told_from_the_text(language: str, text: str) -> None:
    assert NAMES[detected(text)] == language


@pytest.mark.parametrize(("language", "text"), UNSPOKEN, ids=lambda each: each[:12])
def test_what_is_not_spoken_is_refused_by_name(language: str, text: str) -> None:
    with pytest.raises(TextError) as refused:
        check(text)
    assert refused.value.code == "text_language"
    assert refused.value.field == "text"
    assert refused.value.measured == language
    assert language in refused.value.message
    assert refused.value.advice


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "我用 Python 和 JavaScript 写程序，你呢？"),
        ("zh", "東京大學在日本。"),
        ("ja", "私はPythonでプログラムを書きます。"),
        ("ja", "東京大学附属図書館は明日から休館です。"),
        ("hi", "मुझे computer पसंद है।"),
    ],
)
def test_a_script_settles_it_even_beside_latin_words(language: str, text: str) -> None:
    assert detected(text) == language


def test_a_language_that_is_set_is_believed() -> None:
    assert check("你好", "zh") == "zh"
    assert check("Hello there", "ja") == "ja"
    assert check("Chat", "en") == "en"


def test_english_that_is_set_still_needs_a_script_it_can_be_read_in() -> None:
    with pytest.raises(TextError) as refused:
        check("海岸行きの列車は九時に出ます。", "en")
    assert refused.value.measured == "Japanese"


@pytest.mark.parametrize(("language", "text"), SPOKEN, ids=lambda each: each[:12])
def test_without_the_extra_its_languages_are_refused_with_its_name_and_licence(
    language: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(espeak, "PACKAGE", "no_such_package")
    code = detected(text)
    assert can_speak(code) == (code not in espeak.VOICES)
    if code not in espeak.VOICES:
        assert check(text) == code
        return
    with pytest.raises(TextError) as refused:
        check(text)
    assert refused.value.code == "language_missing"
    assert refused.value.field == "text"
    assert refused.value.measured == language
    assert f"pip install -r {EXTRA}" in refused.value.advice
    assert EXTRA_LICENCE in refused.value.advice


def test_what_is_no_language_of_ours_has_no_name() -> None:
    assert detected("ქართული ენა ლამაზია") not in LANGUAGES
