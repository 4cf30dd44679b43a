"""What stands in a text and is no word: pauses of a length, sounds and tags that nobody reads out.

One parser for all who speak: ``<#0.5#>`` (MiniMax), ``<break time="0.5s"/>`` (SSML, ElevenLabs) and ``[pause 0.5]``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clone.core.errors import TextError

PAUSE_MIN_S, PAUSE_MAX_S = 0.01, 99.99
PAUSES_MAX_S = 600.0
"""Of all pauses in a text together; ours: a few thousand markers would be a day of silence."""

SOUNDS = (
    "laughs", "laugh", "chuckle", "chuckles", "coughs", "clear-throat", "groans", "breath", "pant", "inhale", "exhale",
    "gasps", "sniffs", "sighs", "snorts", "burps", "lip-smacking", "humming", "hissing", "emm", "sneezes", "whistles",
    "crying", "applause",
)  # fmt: skip
"""As the newest models of MiniMax make them; no engine here does, so they are left out. Source: its T2A reference."""

_NUMBER = r"(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})"
_PAUSE = re.compile(
    rf"<#\s*{_NUMBER}\s*#>|<break\s+time\s*=\s*[\"'“”]?{_NUMBER}\s*(ms|s)?[\"'“”]?\s*/?>|\[pause\s+{_NUMBER}\s*s?\]",
    re.IGNORECASE,
)
_SOUND = re.compile(rf"[(（\[]({'|'.join(map(re.escape, SOUNDS))})[)）\]]", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"</?[a-z][\w:-]*(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>\n]{0,60}\"|'[^'<>\n]{0,60}'|[^\s<>\"']{1,40}))*\s*/?>"
    r"|<#[^<>#\n]{0,40}#?>|\[pause\b[^\]\n]{0,20}\]",
    re.IGNORECASE,
)
_UNKNOWN_SHOWN, _UNKNOWN_MAX_CHARS = 3, 40


@dataclass(frozen=True)
class Part:
    """Words as they stand in a text, without sounds, and how long it is silent after them; 0 where no pause is set."""

    text: str
    silence_s: float = 0.0


def parts(text: str) -> list[Part]:
    """Return a text in parts, each up to a pause; pauses in a row are one. The last may be empty."""
    found, at = list[Part](), 0
    for pause in _PAUSE.finditer(text):
        words, silence_s = text[at : pause.start()], _seconds(pause)
        at = pause.end()
        if found and not words.strip():
            found[-1] = Part(found[-1].text, found[-1].silence_s + silence_s)
        else:
            found.append(Part(_without_sounds(words), silence_s))
    return [*found, Part(_without_sounds(text[at:]))]


def plain(text: str) -> str:
    """Return a text without its pauses and sounds, for what only counts or knows words."""
    return _without_sounds(_PAUSE.sub(" ", text))


def without_unknown(text: str) -> str:
    """Return a text without what ``unknown`` finds; its pauses must be out of it already."""
    return _UNKNOWN.sub(" ", text)


def unknown(text: str) -> list[str]:
    """Return what looks like markup and is not understood, as it is written: the first three; it is not read out."""
    found = dict.fromkeys(each[0][:_UNKNOWN_MAX_CHARS] for each in _UNKNOWN.finditer(_PAUSE.sub(" ", text)))
    return list(found)[:_UNKNOWN_SHOWN]


def check_pauses(text: str) -> str:
    """Refuse a pause that is too short or too long, and too many of them; return the text unchanged.

    Raises:
        TextError: ``pause`` or ``pauses``, measured and limit in seconds.
    """
    lengths = [_seconds(pause) for pause in _PAUSE.finditer(text)]
    for length_s in lengths:
        if not PAUSE_MIN_S <= length_s <= PAUSE_MAX_S:
            raise _refusal("A pause", "pause", length_s, f"{PAUSE_MIN_S} to {PAUSE_MAX_S}")
    if sum(lengths) > PAUSES_MAX_S:
        raise _refusal("All pauses together", "pauses", sum(lengths), f"at most {PAUSES_MAX_S:.0f}")
    return text


def _refusal(what: str, code: str, length_s: float, limit: str) -> TextError:
    verb = "is" if code == "pause" else "are"
    return TextError(
        f"{what} in the text {verb} {length_s:g} s long; {limit} s are accepted.",
        code=code,
        field="text",
        measured=length_s,
        limit=limit,
        advice="Write it as <#0.5#>, in seconds.",
    )


def _seconds(pause: re.Match[str]) -> float:
    number = next(each for each in (pause[1], pause[2], pause[4]) if each)
    return float(number) / (1000 if (pause[3] or "").lower() == "ms" else 1)


def _without_sounds(text: str) -> str:
    return _SOUND.sub(" ", text)
