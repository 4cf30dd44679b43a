"""How well a transcript fits what was heard."""

from __future__ import annotations

import time
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from clone.contract.cloning import ACCURACY_DEFAULT
from clone.core.errors import PromptMismatch
from clone.engine.backend import Heard, LocalBackend
from clone.engine.conversion import SAMPLE_RATE
from clone.engine.profile import Profile
from clone.engine.transcript import bare, check_match, match, words, words_heard
from tests.studios import TURBO

ROWS = (Path(__file__).parent / "data" / "heard.tsv").read_text(encoding="utf-8").splitlines()
HEARD: list[tuple[str, str]] = [(row.split("\t")[0], row.split("\t")[1]) for row in ROWS]
"""What was said, and what the recogniser wrote; scripts/build_heard.py made it."""
SAID = [said for said, _ in HEARD]


def a_third_changed(sentence: str, other: str) -> str:
    """Put words of another sentence in the place of every third word."""
    others = cycle(other.split())
    return " ".join(
        next(each for each in others if bare(each) != bare(word)) if i % 3 == 0 else word
        for i, word in enumerate(sentence.split())
    )


@pytest.mark.parametrize(("said", "heard"), HEARD, ids=SAID)
def test_what_was_said_fits_what_is_written_of_it(said: str, heard: str) -> None:
    assert check_match(said, heard, ACCURACY_DEFAULT) >= ACCURACY_DEFAULT
    assert match(heard, said) == match(said, heard)


@pytest.mark.parametrize("i", range(0, len(HEARD), 2))
def test_another_sentence_does_not_fit(i: int) -> None:
    with pytest.raises(PromptMismatch) as refused:
        check_match(SAID[i - 1], HEARD[i][1], ACCURACY_DEFAULT)
    assert refused.value.field == "prompt_text"
    assert HEARD[i][1] in refused.value.message
    assert match(SAID[i - 1], HEARD[i][1]) < ACCURACY_DEFAULT / 2


@pytest.mark.parametrize("i", range(1, len(HEARD), 2))
def test_a_third_of_the_words_changed_does_not_fit(i: int) -> None:
    said, heard = HEARD[i]
    assert match(a_third_changed(said, SAID[i - 1]), heard) < ACCURACY_DEFAULT


@pytest.mark.parametrize(
    "said",
    [
        "The ticket cost forty-two dollars and fifteen cents on the ninth of June.",
        "Doctor Jones was born in nineteen seventy-three, and she isn't the first.",
        "Half of the thirty-two players had left by ten fifteen.",
    ],
)
def test_a_sentence_with_numbers_is_spoken_and_heard(
    backend: LocalBackend, profiles: dict[str, Profile], said: str
) -> None:
    spoken = np.concatenate([backend.speak(profiles["ada"], line, TURBO) for line in backend.script(said)])
    heard = backend.transcribe(Heard(spoken, SAMPLE_RATE, []))
    assert any(c.isdigit() for c in heard)  # which is what makes it hard
    assert match(said, heard) >= ACCURACY_DEFAULT
    assert match(a_third_changed(said, SAID[0]), heard) < ACCURACY_DEFAULT


def test_punctuation_and_case_make_no_difference() -> None:
    assert match("The train, to the COAST!", "the train to the coast") == 1.0


def test_a_wrong_word_costs_a_little_and_another_sentence_a_lot() -> None:
    said = "The train to the coast leaves at nine."
    assert 0.7 < match("The train to the coast leaves at five.", said) < 1.0
    assert match("The train to the coast leaves at nine.".replace("coast", "coost"), said) > 0.9
    assert match("The train to the coast leaves at nine.".replace("coast", "co ast"), said) > 0.9
    assert match("I never liked the smell of paint.", said) < 0.2
    assert match("Hello.", "") == match("", "Hello.") == match("…", "…") == 0.0


def test_other_languages_are_compared_letter_by_letter() -> None:
    said = "Der Zug an die Küste fährt morgen früh um neun Uhr ab, und alle kommen mit."
    assert match(said, said) == 1.0
    assert match(said, said.replace("Küste", "Kiste").replace("kommen", "komen")) > 0.95
    assert match("今天天气很好，我们去公园。", "今天天气很好我们去公圆") > 0.8


def test_words_that_are_one_number_are_heard_together() -> None:
    said = "Born on the fifth of May, nineteen ninety-eight, for nineteen dollars and fifty cents."
    assert all(heard for _, heard in words_heard(said, "Born on May 5th, 1998, for $19.50."))
    wrong = words_heard("It costs nineteen dollars and fifty cents today.", "It costs $19.60 today.")
    assert [word for word, heard in wrong if not heard] == ["fifty"]
    late = words_heard("We met on the fifth of May.", "We met on May 6th.")
    assert [word for word, heard in late if not heard] == ["fifth"]
    assert [word for word, _ in late] == ["We", "met", "on", "the", "fifth", "of", "May."]


def test_a_contraction_is_heard_as_its_words() -> None:
    found = words_heard("I'm here & I do not care, Dr. Who.", "I am here and I don't care, doctor Who.")
    assert all(heard for _, heard in found)
    found = words_heard("I'm here.", "I was here.")
    assert [word for word, heard in found if not heard] == ["I'm"]


def test_chinese_is_heard_character_by_character_in_either_script() -> None:
    found = words_heard("我们去海边，好吗？", "我們去山邊好嗎")
    assert [word for word, _ in found] == ["我", "们", "去", "海", "边，", "好", "吗？"]
    assert [word for word, heard in found if not heard] == ["海"]


def test_japanese_is_heard_character_by_character() -> None:
    found = words_heard("海へ行く。Python", "海へいくPython")
    assert [word for word, heard in found if not heard] == ["行"]


SAME = [
    ("nineteen dollars and fifty cents", "$19.50"),
    ("nineteen dollars fifty", "$19.50"),
    ("ninety-nine cents", "$0.99"),
    ("ninety nine cents", "99¢"),
    ("twelve dollars", "$12.00"),
    ("one hundred and twelve pounds and ninety-nine pence", "£112.99"),
    ("two point five million dollars", "$2.5 million"),
    ("three million dollars", "$3M"),
    ("third", "3rd"),
    ("the twenty-first century", "the 21st century"),
    ("one hundredth", "100th"),
    ("the fifth of May nineteen ninety-eight", "May 5th, 1998"),
    ("May the fifth, 1998", "5 May 1998"),
    ("May fifth, twenty twenty-four", "2024-05-05"),
    ("the first of January", "Jan. 1st"),
    ("two thousand and five", "2005"),
    ("two thousand five", "twenty oh five"),
    ("nineteen oh five", "1905"),
    ("nineteen hundred", "1900"),
    ("the nineteen-eighties", "the 1980s"),
    ("doctor Smith of Saint James Street", "Dr. Smith of St. James St."),
    ("Mount Everest, et cetera", "Mt. Everest, etc."),
    ("I am sure it is not, it cannot be", "I'm sure it isn't, it can't be"),
    ("they have not", "they haven’t"),
    ("it's not", "it isn't"),
    ("I would like what you will not", "I'd like what you won't"),
    ("twenty percent", "20%"),
    ("nine point one per cent", "9.1 %"),
    ("five p.m.", "5 PM"),
    ("five p m", "5pm"),
    ("ten thirty", "10:30"),
    ("ten thirty", "10.30"),
    ("half past ten", "10:30"),
    ("a quarter to one", "12:45"),
    ("ten o'clock", "10:00"),
    ("one million", "1,000,000"),
    ("a million and one", "1,000,001"),
    ("one hundred and fifty thousand", "150,000"),
    ("between two hundred and three hundred", "between 200 and 300"),
    ("two point five", "2.5"),
    ("two and a half", "2½"),
    ("zero point zero five", "0.05"),
    ("version two point oh", "version 2.0"),
    ("five five five, one two three four", "555-1234"),
    ("plus four four twenty", "+44 20"),
    ("number five", "No. 5"),
    ("number five", "#5"),
    ("five kilometres", "5 km"),
    ("two hundred meters", "200m"),
    ("minus thirty degrees Celsius", "-30°C"),
    ("Tom and Jerry", "Tom & Jerry"),
    ("two thirds", "2/3"),
    ("four to one", "4-1"),
    ("World War Two", "World War II"),
    ("Henry the eighth", "Henry VIII"),
    ("the U S A", "the U.S.A."),
    ("M P three", "MP3"),
]


@pytest.mark.parametrize(("said", "written"), SAME, ids=[written for _, written in SAME])
def test_what_is_said_and_what_is_written_are_one(said: str, written: str) -> None:
    assert words(said) == words(written) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nineteen", "ninety"),
        ("$19.50", "$19.60"),
        ("1998", "1989"),
        ("3rd", "4th"),
        ("2.5", "3.5"),
        ("10:30", "10:15"),
    ],
)
def test_other_numbers_stay_others(one: str, other: str) -> None:
    assert words(one) != words(other)


@pytest.mark.parametrize(
    ("text", "plain"),
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
def test_bare_words(text: str, plain: str) -> None:
    assert bare(text) == plain


NASTY = {
    "digits": "9" * 2000,
    "a very long thousand": "9" * 5000 + " thousand",
    "hours": "quarter to " + "9" * 5000,
    "commas": "1," * 1000,
    "points": "1." * 1000,
    "slashes": "1/" * 1000,
    "signs": "$£€%&" * 400,
    "scales": "thousand million hundred " * 80,
    "ands": "one and " * 250,
    "as": "a hundred " * 200,
    "ohs": "oh " * 600,
    "dots": "a." * 1000,
    "letters": "I " * 1000,
    "romans": "King MDCLXVI " * 150,
    "fractions": "½" * 2000,
    "Arabic digits": "٣ " * 1000,
    "circled": "①Ⅷ²" * 600,
    "zeros": "\x00" * 2000,
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_nothing_takes_long(text: str) -> None:
    began = time.process_time()
    assert all(word.isalnum() for word in words(text))
    assert time.process_time() - began < 5  # it takes a hundredth of that; what grows by squares would not
