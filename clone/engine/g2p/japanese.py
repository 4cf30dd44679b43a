"""Japanese on its way to phonemes: readings by MeCab and its IPA dictionary, each mora in Kokoro's symbols."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache

import ipadic
from fugashi import GenericTagger

from clone.engine.g2p.text import tidied

# Consonants before a, i, u, e, o; the vowel u is said ɨ after s, z and ts, ɯ elsewhere.
_ROWS = {
    "アイウエオ": ("", "", "", "", ""),
    "カキクケコ": ("k", "kʲ", "k", "k", "k"),
    "ガギグゲゴ": ("ɡ", "ɡʲ", "ɡ", "ɡ", "ɡ"),
    "サシスセソ": ("s", "ɕ", "s", "s", "s"),
    "ザジズゼゾ": ("ʣ", "ʥ", "z", "ʣ", "ʣ"),
    "タチツテト": ("t", "ʨ", "ʦ", "t", "t"),
    "ダヂヅデド": ("d", "ʥ", "z", "d", "d"),
    "ナニヌネノ": ("n", "ɲ", "n", "n", "n"),
    "ハヒフヘホ": ("h", "ç", "ɸ", "h", "h"),
    "バビブベボ": ("b", "bʲ", "b", "b", "b"),
    "パピプペポ": ("p", "pʲ", "p", "p", "p"),
    "マミムメモ": ("m", "mʲ", "m", "m", "m"),
    "ラリルレロ": ("ɾ", "ɾʲ", "ɾ", "ɾ", "ɾ"),
}
_HISSED = frozenset(("s", "z", "ʦ"))
_SMALL = {"ァ": "a", "ィ": "i", "ゥ": "ɯ", "ェ": "e", "ォ": "o", "ャ": "a", "ュ": "ɨ", "ョ": "o", "ヮ": "a"}
_NASAL = {"m": "pbm", "ŋ": "kɡ", "ɲ": "ʥʨɲ", "n": "tdnɾzʣʦ"}
"""What ン becomes before these; ɴ elsewhere."""

MARKS = {"、": ",", "。": ".", "「": "“", "」": "”", "『": "“", "』": "”", "・": " ", "〜": "—", "～": "—"}
_SPOKEN = ';:,.!?—…"()“” '
_LATIN = re.compile(r"[A-Za-z]+(?:['’ -]+[A-Za-z]+)*")
_KANA = re.compile(r"[ァ-ヺー]+")

_DIGITS = ("", "イチ", "ニ", "サン", "ヨン", "ゴ", "ロク", "ナナ", "ハチ", "キュー")
_ALONE = ("ゼロ", *_DIGITS[1:])
_HUNDREDS = {1: "ヒャク", 3: "サンビャク", 6: "ロッピャク", 8: "ハッピャク"}
_THOUSANDS = {1: "セン", 3: "サンゼン", 8: "ハッセン"}
_MYRIADS = ("", "マン", "オク", "チョー")
_MONTH = {"4": "シ", "7": "シチ", "9": "ク"}
_HOUR = {"4": "ヨ", "7": "シチ", "9": "ク"}
_DAYS = ("ついたち", "ふつか", "みっか", "よっか", "いつか", "むいか", "なのか", "ようか", "ここのか", "とおか")
_THINGS = ("ひとつ", "ふたつ", "みっつ", "よっつ", "いつつ", "むっつ", "ななつ", "やっつ", "ここのつ")
_COUNTS = (
    {f"月{i}日": f"月{day}" for i, day in enumerate(_DAYS, 1)}
    | {f"{i}つ": thing for i, thing in enumerate(_THINGS, 1)}
    | {"月20日": "月はつか", "1人": "ひとり", "2人": "ふたり", "一人": "ひとり", "二人": "ふたり"}
)
"""Counts with readings of their own."""

_COUNTED = re.compile("|".join(each if each[0] == "月" else f"(?<![0-9.十百千]){each}(?!前)" for each in _COUNTS))

_WIDE = {ord("0") + i: ord("０") + i for i in range(10)}
"""The dictionary knows what counts after digits of full width only."""

_JOINED = ("接続助詞", "接尾", "非自立")
_SYMBOLS = {"%": "パーセント", "$": "ドル", "¥": "エン", "€": "ユーロ", "&": "アンド", "+": "プラス", "=": "イコール"}


def _moras() -> dict[str, str]:
    table = {
        "ヤ": "ja",
        "ユ": "jɯ",
        "ヨ": "jo",
        "ワ": "βa",
        "ヰ": "i",
        "ヱ": "e",
        "ヲ": "o",
        "ヴ": "vɯ",
        "ヵ": "ka",
        "ヶ": "ke",
    }
    for kana, consonants in _ROWS.items():
        for each, consonant, vowel in zip(kana, consonants, "aiɯeo", strict=True):
            table[each] = consonant + ("ɨ" if vowel == "ɯ" and consonant in _HISSED else vowel)
        for small in "ャュョェ":  # きゃ is ki without its i
            table[kana[1] + small] = table[kana[1]][:-1] + _SMALL[small]
    for first, consonant in (("フ", "ɸ"), ("ヴ", "v"), ("ウ", "β"), ("ツ", "ʦ"), ("ク", "kᵝ"), ("グ", "ɡᵝ")):
        table |= {first + small: consonant + _SMALL[small] for small in "ァィェォ"}
    table |= {
        "ティ": "tʲi",
        "ディ": "dʲi",
        "トゥ": "tɯ",
        "ドゥ": "dɯ",
        "デュ": "dʲɨ",
        "テュ": "tʲɨ",
        "スィ": "si",
        "ズィ": "zi",
    }
    table |= {"イェ": "je", "フュ": "ɸʲɨ"}
    return table | {small: vowel for small, vowel in _SMALL.items() if small not in "ャュョ"} | {"ッ": "ʔ", "ー": "ː"}


MORAS = _moras()


def phonemes(sentence: str, english: Callable[[str], str]) -> str:
    """Return a sentence in Kokoro's symbols, words parted by spaces.

    Args:
        sentence: Japanese; numbers and English words may stand in it.
        english: gives the phonemes of those English words.
    """
    said: list[str] = []
    for text, kana, joins in _words(unicodedata.normalize("NFKC", sentence)):
        if _LATIN.fullmatch(text):
            said.append(f" {english(text)} ")
        elif kana:
            said.append(("" if joins else " ") + spoken(kana))
        else:
            marks = "".join(MARKS.get(c, c) for c in text)
            said.append("".join(f" {c}" if c in "(“" else f"{c} " for c in marks if c in _SPOKEN))
    return tidied("".join(said))


def reading(text: str) -> str:
    """Return a text as it is read, in katakana alone."""
    return "".join(kana for _, kana, _ in _words(unicodedata.normalize("NFKC", text)))


def spoken(kana: str) -> str:
    """Return katakana in Kokoro's symbols."""
    moras: list[str] = []
    for c in kana:
        before = moras[-1] if moras else ""
        if before + c in MORAS and before:
            moras[-1] += c
        else:
            moras.append(c)
    symbols = [MORAS.get(mora, mora if mora == "ン" else "") for mora in moras]
    return "".join(
        _nasal(after) if each == "ン" else each for each, after in zip(symbols, [*symbols[1:], ""], strict=True)
    )


def _nasal(after: str) -> str:
    return next((nasal for nasal, before in _NASAL.items() if after[:1] and after[0] in before), "ɴ")


def _words(text: str) -> Iterator[tuple[str, str, bool]]:
    """Yield each word with its reading in katakana, if it has one, and whether it is said in one with the last."""
    text = re.sub(r"\.{2,}", "…", re.sub(r"(?<=\d),(?=\d{3})", "", text))
    text = _COUNTED.sub(lambda found: _COUNTS[found[0]], text)
    text = text.translate(_WIDE)
    number, ended = "", ""
    for word in _tagger()(text):
        kind, reading = word.feature[0], word.feature[-1] if len(word.feature) > 7 else "*"
        if word.surface.isdecimal() or (number and word.surface == "."):
            number += word.surface
            continue
        if number:
            yield from _counted(number, word.surface)
            number = ""
        reading = _SYMBOLS.get(word.surface, reading if _KANA.fullmatch(reading) else _katakana(word.surface))
        joins = kind == "助動詞" or word.feature[1] in _JOINED or ended == "ッ" or reading[:1] == "ー"
        yield word.surface, reading, joins
        ended = reading[-1:]
    if number:
        yield from _counted(number, "")


def _counted(number: str, unit: str) -> Iterator[tuple[str, str, bool]]:
    digits = unicodedata.normalize("NFKC", number)
    yield number, _number(digits.rstrip("."), unit), False
    if digits.endswith("."):
        yield ".", "", False


def _katakana(text: str) -> str:
    """Return what is kana in a word as katakana; nothing if it is no kana."""
    turned = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c for c in text)
    return turned if _KANA.fullmatch(turned) else ""


def _number(digits: str, unit: str) -> str:
    special = _MONTH if unit.startswith("月") else _HOUR if unit.startswith("時") else {}
    if digits in special:
        return special[digits]
    whole, *decimals = digits.split(".")  # a version such as 1.2.3 has more than one point
    long = len(whole) > 16 or (len(whole) > 1 and whole[0] == "0")
    said = "".join(_ALONE[int(each)] for each in whole) if long else number(whole)
    return said + "".join("テン" + "".join(_ALONE[int(each)] for each in part) for part in decimals)


def number(digits: str) -> str:
    """Return a whole number of at most 16 digits in katakana."""
    padded = digits.rjust(16, "0")
    said = ""
    for start, myriad in zip(range(0, 16, 4), reversed(_MYRIADS), strict=True):
        thousands, hundreds, tens, ones = map(int, padded[start : start + 4])
        if thousands + hundreds + tens + ones:
            said += _THOUSANDS.get(thousands, _DIGITS[thousands] + "セン") if thousands else ""
            said += _HUNDREDS.get(hundreds, _DIGITS[hundreds] + "ヒャク") if hundreds else ""
            said += ("" if tens == 1 else _DIGITS[tens]) + "ジュー" if tens else ""
            said += _DIGITS[ones] + myriad
    return said or _ALONE[0]


@cache
def _tagger() -> GenericTagger:
    return GenericTagger(ipadic.MECAB_ARGS)
