"""How well a transcript fits what was heard."""

from __future__ import annotations

import pytest

from clone.engine.matching import match, normalised


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
