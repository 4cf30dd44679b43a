"""Texts on their way to be documents: headings, and lines of a dialogue, are told by how a line begins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clone.contract.orders import SpeakOrder
from clone.engine.g2p import text as reading
from clone.engine.g2p.languages import unreadable
from clone.storage.document import Sentence
from clone.storage.voice import NAME_MAX_CHARS, Voice

_HEADING = re.compile(r"(#{1,6})\s+(?=\S)")
_COLON = re.compile("[:：]")


@dataclass(frozen=True)
class Speaker:
    """A voice of whom some lines of a text say that they are its: ``n_lines`` begin with its name and a colon."""

    name: str
    voice_id: str
    n_lines: int


def script(order: SpeakOrder, language: str) -> list[Sentence]:
    """Return the sentences of a text that is to be said.

    A line that begins with ``# `` to ``###### `` is a heading, one that begins with the name of a speaker and a colon
    is said by that speaker; neither mark is read out.

    Raises:
        TextError: there is nothing to say.
    """
    cast = {name.casefold(): voice_id for name, voice_id in order.speakers}
    found: list[Sentence] = []
    for line in order.text.split("\n"):
        heading, (name, said) = _HEADING.match(line), _named(line)
        speaker = cast.get(name.casefold())
        said = line[heading.end() :] if heading else said if speaker else line
        level, own = len(heading[1]) if heading else 0, speaker if speaker != order.voice_id else None
        for each in reading.sentences(said.strip(), language):
            found.append(Sentence(each.text, each.pause_s, ends_paragraph=False, heading=level, voice_id=own))
        if found:
            found[-1] = _last(found[-1], reading.PARAGRAPH_PAUSE_S, reading.END_PAUSE_S)
    if not found:
        raise unreadable(language)
    found[-1] = _last(found[-1], reading.END_PAUSE_S, reading.PARAGRAPH_PAUSE_S)
    return found


def speakers_in(text: str, voices: Sequence[Voice]) -> list[Speaker]:
    """Return whose lines a text seems to have, of these voices; names that several have are nobody's."""
    named: dict[str, list[str]] = {}
    for voice in voices:
        if voice.name:
            named.setdefault(voice.name.casefold(), []).append(voice.voice_id)
    found: dict[str, Speaker] = {}
    for line in text.split("\n"):
        name, said = _named(line)
        voice_ids = named.get(name.casefold(), [])
        if len(voice_ids) == 1 and said:
            before = found.get(voice_ids[0], Speaker(name, voice_ids[0], 0))
            found[voice_ids[0]] = replace(before, n_lines=before.n_lines + 1)
    return list(found.values())


def _named(line: str) -> tuple[str, str]:
    """Return what stands before a line's first colon, where that may be the name of a voice, and what after it."""
    parts = _COLON.split(line, maxsplit=1)
    is_named = len(parts) == 2 and len(parts[0].strip()) <= NAME_MAX_CHARS
    return (" ".join(parts[0].split()), parts[1].strip()) if is_named else ("", line)


def _last(sentence: Sentence, pause_s: float, instead_of_s: float) -> Sentence:
    """Return the last sentence of a paragraph, with a pause that fits unless it has one of its own."""
    own = sentence.pause_s if sentence.pause_s != instead_of_s else pause_s
    return replace(sentence, ends_paragraph=True, pause_s=own)
