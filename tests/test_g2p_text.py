"""Text on its way to phonemes: where sentences end, and that nothing is lost."""

from __future__ import annotations

import pytest

from clone.engine.g2p.text import (
    CLAUSE_PAUSE_S,
    END_PAUSE_S,
    PARAGRAPH_PAUSE_S,
    SENTENCE_MAX_CHARS,
    SENTENCE_PAUSE_S,
    Sentence,
    pieces,
    readable,
    sentences,
    tidied,
)
from clone.engine.transcript import bare


def test_sentences_and_their_pauses() -> None:
    text = "Dr. Smith came at 4.30 p.m. today. Did he?  Yes!\n\nThen he left…\nAlone."
    assert sentences(text) == [
        Sentence("Dr. Smith came at 4.30 p.m. today.", SENTENCE_PAUSE_S),
        Sentence("Did he?", SENTENCE_PAUSE_S),
        Sentence("Yes!", PARAGRAPH_PAUSE_S),
        Sentence("Then he left…", PARAGRAPH_PAUSE_S),
        Sentence("Alone.", END_PAUSE_S),
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
    assert bare(" ".join(sentence.text for sentence in sentences(text))) == bare(text)


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
    assert readable("㉑ ⑴ 1⁴").split() == ["21", "(1)", "1", "4"]


def test_of_a_link_its_words_are_left() -> None:
    assert readable("See [the site](https://a.b) now.") == "See the site now."
    assert "](" not in readable("[[a](b)](c) [](d) [e](")


def test_a_very_long_sentence_is_parted_at_its_clauses_else_its_words() -> None:
    clause = "and then they walked all the way home along the river, "
    parts = sentences(clause * 20 + "goodbye.")
    assert [len(part.text) for part in parts[:-1]] == [len(clause) * 9 - 1] * (len(parts) - 1)
    assert [part.pause_s for part in parts] == [CLAUSE_PAUSE_S] * (len(parts) - 1) + [END_PAUSE_S]
    for text in ("word " * 300, "x" * 1200, "，".join(["你好"] * 400)):
        parts = sentences(text, "zh")
        assert all(0 < len(part.text) <= SENTENCE_MAX_CHARS for part in parts)
        assert "".join(part.text for part in parts).replace(" ", "") == text.replace(" ", "")


def test_a_row_of_symbols_is_not_read_one_by_one() -> None:
    assert sentences(f"One {'=' * 80} two.")[0].text == "One === two."
    assert sentences("Is a++ != *b, or -- so to say -- http://c.d/?e=%20?!…")[0].text.endswith("http://c.d/?e=%20?!…")


def test_control_characters_are_spaces() -> None:
    assert [each.text for each in sentences("a\x00b\x1b c\ud800.\r\nd")] == ["a b c .", "d"]


def test_full_stops_of_other_scripts_end_sentences() -> None:
    assert [each.text for each in sentences("你好！你在哪里？“我在这里。”他说。", "zh")] == [
        "你好！",
        "你在哪里？",
        "“我在这里。”",
        "他说。",
    ]
    assert [each.text for each in sentences("明日です。\n本当？はい", "ja")] == ["明日です。", "本当？", "はい"]
    assert [each.text for each in sentences("यह घर है। वह नहीं।", "hi")] == ["यह घर है।", "वह नहीं।"]


def test_phonemes_are_tidied() -> None:
    assert tidied(" a  ( b ) , “ c ” . ") == "a (b), “c”."
