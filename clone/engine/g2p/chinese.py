"""Mandarin on its way to phonemes: pinyin by pypinyin, each syllable in Kokoro's symbols with an arrow for its tone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from pypinyin import Style, lazy_pinyin
from pypinyin.contrib.tone_convert import to_finals_tone3, to_initials
from pypinyin.seg.mmseg import seg

from clone.engine.g2p.text import tidied

INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k", "k": "kʰ", "h": "x",
    "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s",
}  # fmt: skip

FINALS = {
    "a": "a_", "ai": "ai_", "ao": "au_", "an": "a_n", "ang": "a_ŋ", "o": "wo_", "ong": "ʊ_ŋ", "ou": "ou_",
    "e": "ɤ_", "ei": "ei_", "en": "ə_n", "eng": "ə_ŋ", "er": "ɚ_", "ê": "ɛ_", "i": "i_", "ia": "ja_", "iao": "jau_",
    "ian": "jɛ_n", "iang": "ja_ŋ", "ie": "je_", "in": "i_n", "ing": "i_ŋ", "io": "jɔ_", "iong": "jʊ_ŋ", "iou": "jou_",
    "u": "u_", "ua": "wa_", "uai": "wai_", "uan": "wa_n", "uang": "wa_ŋ", "uei": "wei_", "uen": "wə_n",
    "ueng": "wə_ŋ", "uo": "wo_", "v": "y_", "van": "ɥɛ_n", "ve": "ɥe_", "vn": "y_n",
}  # fmt: skip
"""Strict finals, v for ü; the tone's arrow goes where the _ is: behind the vowel."""

BUZZED = frozenset(("zh", "ch", "sh", "r", "z", "c", "s"))
"""After these an i is no i, but the consonant's own sound held on."""

TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
MARKS = {"、": ",", "。": ".", "《": "“", "》": "”", "「": "“", "」": "”", "『": "“", "』": "”", "·": " ", "～": "—"}
_LETTERS = dict(zip("12345", "ABCDE", strict=True))
_SPOKEN = ';:,.!?—…"()“” '

_HANZI = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff〇"
_PINYIN = re.compile(r"\(([a-zü]{1,6})([1-5])\)")
"""As readings are given, a syllable in brackets each: (chu3)(li3)."""
_RUN = re.compile(
    rf"⟨(?P<pinyin>[a-zü]+)(?P<tone>[A-E])⟩|(?P<hanzi>[{_HANZI}]+)"
    rf"|(?P<latin>[^\W\d_{_HANZI}]+(?:['’ -]+[^\W\d_{_HANZI}]+)*)|(?P<other>.)",
    re.S,
)

_DIGITS = "零一二三四五六七八九"
_UNITS = ("", "十", "百", "千")
_MYRIADS = ("", "万", "亿", "兆")
_COUNTED = "个位次张只件条块杯种天岁"
"""Two of these is 两, not 二."""

_MONEY = {"$": "美元", "€": "欧元", "£": "英镑", "¥": "元", "￥": "元"}


def phonemes(sentence: str, english: Callable[[str], str]) -> str:
    """Return a sentence in Kokoro's symbols, words parted by spaces.

    Args:
        sentence: Mandarin, in simplified or traditional characters; numbers and English words may stand in it.
        english: gives the phonemes of those English words.
    """
    plain = re.sub(r"\.{2,}", "…", "".join(MARKS.get(c, c) for c in unicodedata.normalize("NFKC", sentence)))
    plain = _PINYIN.sub(lambda found: f"⟨{found[1]}{_LETTERS[found[2]]}⟩", plain)  # its digit is no number
    said = []
    for run in _RUN.finditer(with_numbers(plain)):
        text = run.group()
        if run["pinyin"]:
            said.append(syllable(f"{run['pinyin']}{'_ABCDE'.index(run['tone'])}"))
        elif run["hanzi"]:
            said.append(" ".join(_word(word) for word in seg.cut(text)))
        elif run["latin"]:
            said.append(f" {english(text)} ")
        elif text in _SPOKEN:
            said.append(f" {text}" if text in "(“" else f"{text} ")
    return tidied("".join(said))


def syllable(pinyin: str) -> str:
    """Return a syllable, such as ``zhong1``, in Kokoro's symbols; what is no pinyin gives nothing."""
    initial = to_initials(pinyin, strict=True)
    final = to_finals_tone3(pinyin, strict=True, neutral_tone_with_five=True)
    vowels, tone = final.rstrip("12345"), TONES.get(final[-1:], "")
    sounded = "ɨ_" if initial in BUZZED and vowels == "i" else FINALS.get(vowels, "")
    return (INITIALS.get(initial, "") + sounded).replace("_", tone)


def _word(word: str) -> str:
    return "".join(map(syllable, lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True, errors="ignore")))


def with_numbers(text: str) -> str:
    """Return a text with its numbers in characters, as they are read: years digit by digit, 25% as 百分之二十五."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = re.sub(r"(\d{4})(?=年)", lambda found: _one_by_one(found[1]), text)
    text = re.sub(r"(\d{1,2}):([0-5]\d)(?!\d)", lambda found: _clock(found[1], found[2]), text)
    text = re.sub(rf"([{''.join(_MONEY)}])\s*(\d+(?:\.\d+)?)", lambda found: found[2] + _MONEY[found[1]], text)
    text = re.sub(r"(\d+(?:\.\d+)?)\s*%", lambda found: f"百分之{found[1]}", text)
    text = re.sub(rf"(?<![\d.])2(?=[{_COUNTED}])", "两", text)
    return re.sub(r"(\d+)(?:\.(\d+))?", lambda found: _decimal(found[1], found[2]), text)


def number(digits: str) -> str:
    """Return a whole number of at most 16 digits in characters, as it is read aloud."""
    padded = digits.rjust(16, "0")
    said = ""
    for start, myriad in zip(range(0, 16, 4), reversed(_MYRIADS), strict=True):
        group = padded[start : start + 4]
        if int(group):
            said += "".join(
                _DIGITS[int(digit)] + unit if digit != "0" else "零"
                for digit, unit in zip(group, reversed(_UNITS), strict=True)
            ).rstrip("零")
            said += myriad
        elif said:
            said += "零"
    said = re.sub("零+", "零", said).strip("零") or "零"
    return said[1:] if said.startswith("一十") else said


def _decimal(whole: str, decimals: str | None) -> str:
    long = len(whole) > 16 or (len(whole) > 1 and whole[0] == "0") or (len(whole) == 11 and whole[0] == "1")
    said = _one_by_one(whole) if long else number(whole)  # a telephone number is no quantity
    return f"{said}点{_one_by_one(decimals)}" if decimals else said


def _clock(hours: str, minutes: str) -> str:
    return f"{hours}点" + ("整" if minutes == "00" else f"{'零' if minutes[0] == '0' else ''}{int(minutes)}分")


def _one_by_one(digits: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in digits)
