"""Which language a text is in, and whether this machine can speak it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import py3langid

from clone.contract.speech import LANGUAGES as SPOKEN
from clone.core.errors import TextError
from clone.engine.g2p import espeak, japanese
from clone.engine.g2p.text import NARROW

MAX_FOREIGN_SHARE = 0.2
"""Of the letters; a name or two in another script may stand in an English text."""

FOREIGN_MARGIN = 15.0
FOREIGN_MARGIN_PER_LETTER = 0.8
"""Log-likelihood by which another language must win, in all and per letter: more than names in an English sentence
bring, less than one plain foreign sentence does. See test_engine_languages."""

FOREIGN_MIN_WORDS = 3
"""One or two words in Latin script may be anybody's name."""

NAMES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "es": "Spanish", "fi": "Finnish",
    "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian",
    "vi": "Vietnamese", "yue": "Chinese", "zh": "Chinese",
}  # fmt: skip

KANA_PER_HAN = 8
"""Japanese has more kana than one in eight characters; Chinese has none but in names."""

EXTRA = "requirements-languages.txt"
EXTRA_LICENCE = "GPL-3.0"


def check(text: str, chosen: str | None = None) -> str:
    """Return the language a text is to be spoken in, one of SPOKEN's codes; refuse what can't be spoken.

    Args:
        text: what is to be spoken.
        chosen: its language, by whoever knows it; None to tell it from the text.

    Raises:
        TextError: ``text_language``, measured is the language; or ``language_missing``, its extra is not installed.
    """
    language = chosen or detected(text)
    if language not in SPOKEN or (language == "en" and _foreign_share(text) > MAX_FOREIGN_SHARE):
        found = detected(text) if language == "en" else language
        raise _unspoken(NAMES.get(found, "another language"))
    if language in espeak.VOICES and not espeak.installed():
        raise missing(language)
    return language


def detected(text: str) -> str:
    """Return the code of a text's language; English where it can't be told apart from it, "" where no name is known."""
    text = text.translate(NARROW)
    letters = [c for c in text if c.isalpha()]
    if _foreign_share(text) > MAX_FOREIGN_SHARE:
        by_script = _by_script(letters)
        if by_script:
            return by_script
    scores = {code: score for code, score in py3langid.rank(text) if code == "en" or code in NAMES}
    best = max(scores, key=lambda code: scores[code])
    if _foreign_share(text) <= MAX_FOREIGN_SHARE:
        few = len(text.split()) < FOREIGN_MIN_WORDS
        margin = scores[best] - scores["en"]
        if few or margin <= max(FOREIGN_MARGIN, FOREIGN_MARGIN_PER_LETTER * len(letters)):
            return "en"
    return "" if best == "en" else best


@dataclass(frozen=True)
class TextLanguage:
    """A text's language: its code, its name, and why it can't be spoken here and now, if it can't."""

    code: str
    name: str
    refusal: TextError | None = None


def resolved(text: str, chosen: str | None = None) -> TextLanguage:
    """Return what is known of a text's language; as check(), but raises nothing."""
    try:
        code = check(text, chosen)
    except TextError as refusal:
        code = chosen or detected(text)
        return TextLanguage(code, str(refusal.measured), refusal)
    return TextLanguage(code, SPOKEN[code])


def phonemes(sentence: str, language: str, english: Callable[[str], list[str]]) -> list[str]:
    """Return a sentence in Kokoro's symbols, in one or more strings.

    Args:
        sentence: in that language; English words in Chinese and Japanese are read as English.
        language: one of SPOKEN's codes.
        english: gives the phonemes of English.

    Raises:
        TextError: ``language_missing``: the extra is there, but can't be loaded on this machine.
    """
    if language == "en":
        return english(sentence)
    if language == "ja":
        return [japanese.phonemes(sentence, lambda words: " ".join(english(words)))]
    if language == "zh":
        from clone.engine.g2p import chinese  # its dictionary takes a third of a second

        return [chinese.phonemes(sentence, lambda words: " ".join(english(words)))]
    try:
        return [espeak.phonemes(sentence, language)]
    except (OSError, AttributeError):
        raise missing(language) from None


def can_speak(language: str) -> bool:
    """Tell whether a language can be spoken here and now."""
    return language in SPOKEN and (language not in espeak.VOICES or espeak.installed())


def missing(language: str) -> TextError:
    """Return the refusal of a language whose extra is not installed."""
    name = SPOKEN[language]
    return TextError(
        f"The text is in {name}, and the extra that reads {name} is not installed on this machine.",
        code="language_missing",
        field="text",
        measured=name,
        limit=EXTRA,
        advice=f"Install it: pip install -r {EXTRA}. It brings espeak-ng, which is under the {EXTRA_LICENCE}.",
    )


def unreadable(language: str) -> TextError:
    """Return the refusal of a text in which nothing can be read."""
    return TextError(
        "Nothing in the text can be read aloud.",
        code="text_no_letter",
        field="text",
        advice=f"Write at least one word of {SPOKEN[language]}.",
    )


def _unspoken(name: str) -> TextError:
    spoken = ", ".join(SPOKEN.values())
    return TextError(
        f"The text looks like {name}, which this machine does not speak.",
        code="text_language",
        field="text",
        measured=name,
        limit=spoken,
        advice=f"Write it in one of these: {spoken}. If it is one of them, set the language.",
    )


def _foreign_share(text: str) -> float:
    """Return how much of a text's letters is in another script than Latin."""
    letters = [c for c in text.translate(NARROW) if c.isalpha()]
    return sum(not unicodedata.name(c, "").startswith("LATIN") for c in letters) / len(letters) if letters else 0.0


def _by_script(letters: list[str]) -> str:
    """Return the language whose script most of the letters that are not Latin are in, where one script is enough."""
    counted = {"KANA": 0, "CJK": 0, "OTHER": 0}
    for c in letters:
        name = unicodedata.name(c, "")
        if name.startswith(("HIRAGANA", "KATAKANA")):
            counted["KANA"] += 1
        elif name.startswith("CJK"):
            counted["CJK"] += 1
        elif not name.startswith("LATIN"):
            counted["OTHER"] += 1
    if counted["OTHER"] >= counted["KANA"] + counted["CJK"]:
        return ""
    return "ja" if counted["KANA"] * KANA_PER_HAN >= counted["CJK"] else "zh"
