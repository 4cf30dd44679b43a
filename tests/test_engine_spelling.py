"""English in one spelling: what is said and what is written of it become the same words."""

from __future__ import annotations

import time

import pytest

from clone.engine.transcript import bare, words

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
