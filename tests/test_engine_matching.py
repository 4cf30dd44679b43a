"""How well a transcript fits what was heard."""

from __future__ import annotations

import pytest

from clone.engine.matching import match, normalised, words_heard


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", "hello world"),
        ("  It's   the dog’s\nbone. ", "its the dogs bone"),
        ("well-known", "well known"),
        ("ＡＢＣ １２３", "abc 123"),
        ("Straße", "strasse"),
        ("你好，世界。", "你好 世界"),
        ("हिन्दी।", "हिन्दी"),
        ("…!?", ""),
    ],
)
def test_only_words_are_compared(text: str, words: str) -> None:
    assert normalised(text) == words


def test_punctuation_and_case_make_no_difference() -> None:
    assert match("The train, to the COAST!", "the train to the coast") == 1.0


def test_a_wrong_word_costs_a_little_and_another_sentence_a_lot() -> None:
    said = "The train to the coast leaves at nine."
    assert 0.8 < match("The train to the coast leaves at five.", said) < 1.0
    assert match("I never liked the smell of paint.", said) < 0.5
    assert match("Hello.", "") == 0.0


def test_chinese_is_heard_character_by_character_in_either_script() -> None:
    found = words_heard("我们去海边，好吗？", "我們去山邊好嗎")
    assert [word for word, _ in found] == ["我", "们", "去", "海", "边，", "好", "吗？"]
    assert [word for word, heard in found if not heard] == ["海"]


def test_japanese_is_heard_character_by_character() -> None:
    found = words_heard("海へ行く。Python", "海へいくPython")
    assert [word for word, heard in found if not heard] == ["行"]
