"""English text on its way to phonemes: what is English, where sentences end, and that nothing is lost."""

from __future__ import annotations

import pytest

from clone.engine.matching import normalised
from clone.engine.text import (
    CLAUSE_PAUSE_S,
    PARAGRAPH_PAUSE_S,
    SENTENCE_PAUSE_S,
    Sentence,
    check_english,
    pieces,
    readable,
    sentences,
)
from clone.errors import TextError

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


@pytest.mark.parametrize("text", ENGLISH, ids=lambda text: text[:30])
def test_english_passes_short_ones_and_names_too(text: str) -> None:
    check_english(text)


@pytest.mark.parametrize(("language", "text"), FOREIGN)
def test_another_language_is_refused_by_its_name(language: str, text: str) -> None:
    with pytest.raises(TextError) as refused:
        check_english(text)
    assert refused.value.code == "text_language"
    assert refused.value.field == "text"
    assert refused.value.measured == language
    assert language in refused.value.message
    assert refused.value.advice


def test_sentences_and_their_pauses() -> None:
    text = "Dr. Smith came at 4.30 p.m. today. Did he?  Yes!\n\nThen he left…\nAlone."
    assert sentences(text) == [
        Sentence("Dr. Smith came at 4.30 p.m. today.", SENTENCE_PAUSE_S),
        Sentence("Did he?", SENTENCE_PAUSE_S),
        Sentence("Yes!", PARAGRAPH_PAUSE_S),
        Sentence("Then he left…", PARAGRAPH_PAUSE_S),
        Sentence("Alone.", PARAGRAPH_PAUSE_S),
    ]
    assert 0 < CLAUSE_PAUSE_S < SENTENCE_PAUSE_S < PARAGRAPH_PAUSE_S


@pytest.mark.parametrize(
    "text",
    [
        "One. Two! Three? “Four.” (Five.) Six",
        "no punctuation at all " * 90,
        "a line\nanother\r\nand a third\n\n\n",
        "“Stop!” she said. He didn't... J. K. Rowling wrote it, didn't she?! Well",
    ],
)
def test_no_word_is_lost_between_sentences(text: str) -> None:
    assert normalised(" ".join(sentence.text for sentence in sentences(text))) == normalised(text)


def test_pieces_are_cut_between_words_and_hold_everything() -> None:
    phonemes = "ðə tɹˈAn tʊ ðə kˈOst lˈivz " * 60
    cut = pieces(phonemes, 100)
    assert all(0 < len(piece) <= 100 for piece in cut)
    assert " ".join(cut).split() == phonemes.split()


def test_a_word_longer_than_a_piece_is_cut_where_it_must_be() -> None:
    cut = pieces("a " + "b" * 950 + " c", 400)
    assert cut == ["a", "b" * 400, "b" * 400, "b" * 150 + " c"]


def test_what_fits_is_left_alone() -> None:
    assert pieces("x" * 400, 400) == ["x" * 400]
    assert pieces("", 400) == []


def test_long_words_are_parted_for_the_phonemizer() -> None:
    assert readable("Read " + "banana" * 6 + ".") == "Read " + "banana" * 3 + " " + "banana" * 3 + "."
    assert readable("antidisestablishment isn't long.") == "antidisestablishment isn't long."


def test_long_numbers_are_told_digit_by_digit() -> None:
    assert readable("Pi: 3.14159 26535897932384626433!") == "Pi: 3.14159 " + " ".join("26535897932384626433") + "!"
    assert readable("1,000,000,000,000,000,000") == " ".join("1000000000000000000")
    assert readable("It costs $1,234,567.89 in 1984.") == "It costs $1,234,567.89 in 1984."


def test_circled_digits_are_plain_ones() -> None:
    assert readable("Step ③: 5 m².").split() == ["Step", "3", ":", "5", "m²."]
