"""Spanish, French, Italian, Portuguese and Hindi on their way to phonemes, by espeak-ng: the GPL-3.0 extra.

Nothing of it is imported, loaded or needed unless requirements-languages.txt was installed; it runs in a process of its
own, espeak_process, since there are texts of which it dies.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import threading
import unicodedata
from functools import cache
from pathlib import Path

from clone.core.errors import TextError
from clone.engine.g2p.espeak_process import TIE
from clone.engine.g2p.text import tidied

PACKAGE = "espeakng_loader"
VOICES = {"es": "es", "fr": "fr", "it": "it", "pt": "pt-br", "hi": "hi"}
"""espeak-ng's own names; the accents that Kokoro learned."""

ANSWERS_WITHIN_S = 10.0
"""For one clause, which takes it a millisecond; it has been seen not to come back."""

SINGLE = {
    "a^ɪ": "I", "a^ʊ": "W", "e^ɪ": "A", "o^ʊ": "O", "ə^ʊ": "Q", "ɔ^ɪ": "Y",
    "d^z": "ʣ", "d^ʒ": "ʤ", "t^s": "ʦ", "t^ʃ": "ʧ", "s^s": "S",
}  # fmt: skip
"""What espeak-ng writes as two tied symbols and Kokoro as one."""

MARKS = {"«": "“", "»": "”", "„": "“", "।": ".", "॥": ".", "–": "—", "¿": "", "¡": ""}
_MARKED = re.compile(r"([,;:.!?…]+(?=[\s”\")]|$)|[—“”\"()])")
_OTHER_LANGUAGE = re.compile(r"\([^()]*\)")
"""espeak-ng says in brackets where it reads a word by another language's rules."""

_PUNCTUATION_AND_MONEY = re.compile(r"[\u2000-\u206f\u20a0-\u20cf№™−]")
_UNSPACED = re.compile(r"(\S{60})(?=\S)")
"""It dies of some words of a few hundred characters, where its own are at most 60."""

_LATIN = ("LATIN", "GREEK", "COMBINING")
_SCRIPTS = {"hi": (*_LATIN, "DEVANAGARI")}


def installed() -> bool:
    """Tell whether the extra is there; loads nothing of it."""
    return importlib.util.find_spec(PACKAGE) is not None


def phonemes(sentence: str, language: str) -> str:
    """Return a sentence in Kokoro's symbols.

    What is in another script is left out, emoji too, as the other languages leave it out.

    Args:
        sentence: in that language.
        language: one of VOICES.

    Raises:
        OSError: the library can't be loaded.
        TextError: ``text_unreadable``: espeak-ng died of it.
    """
    scripts = _SCRIPTS.get(language, _LATIN)
    plain = _UNSPACED.sub(r"\1 ", "".join(_own(MARKS.get(c, c), scripts) for c in sentence))
    said = []
    for i, part in enumerate(_MARKED.split(plain)):
        if i % 2:
            said.append(f" {part}" if part in "(“" else f"{part} ")
        elif part.strip():
            said.append((" " if part[0].isspace() else "") + _ipa(part.strip(), VOICES[language]))
            said.append(" " if part[-1].isspace() else "")
    return tidied("".join(said))


def _own(text: str, scripts: tuple[str, ...]) -> str:
    """Return what can be read in these scripts of a character, perhaps written in another way; else a space."""
    for written in (text, unicodedata.normalize("NFKC", text)):
        if all(
            c < "\u0250" or _PUNCTUATION_AND_MONEY.match(c) or unicodedata.name(c, "").startswith(scripts)
            for c in written
        ):
            return written
    return " "


def _ipa(text: str, voice: str) -> str:
    """Return a text without punctuation as Kokoro writes it."""
    ipa = _OTHER_LANGUAGE.sub("", _espeak().phonemes(text, voice))
    for tied, single in SINGLE.items():
        ipa = ipa.replace(tied, single)
    return ipa.replace(TIE, "").replace("-", "")


class _Espeak:
    """The process, started when it is first needed, and again after a text it died of; it reads one text at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def phonemes(self, text: str, voice: str) -> str:
        """Return a text as espeak-ng writes it."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = self._started()
            answer = self._answer(self._process, json.dumps([voice, text]).encode() + b"\n")
        if not answer:
            raise TextError(
                f"This can't be read aloud: “{text[:40]}”.",
                code="text_unreadable",
                field="text",
                measured=text[:40],
                advice="Write it in other words.",
            )
        ipa = json.loads(answer)
        if ipa is None:
            raise OSError(f"espeak-ng has no voice {voice}")
        return str(ipa)

    def _started(self) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-I", str(Path(__file__).with_name("espeak_process.py"))]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=quiet)
        if not self._answer(process):
            raise OSError("espeak-ng can't be started")
        return process

    def _answer(self, process: subprocess.Popen[bytes], asked: bytes = b"") -> bytes:
        """Return what it says to a line, or first of all; nothing when it died, or had to be ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(ANSWERS_WITHIN_S, process.kill)
        timer.start()
        try:
            process.stdin.write(asked)
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        finally:
            timer.cancel()
        if not answer.endswith(b"\n"):
            process.kill()
            process.communicate()  # closes its pipes, and lets it go
            return b""
        return answer


@cache
def _espeak() -> _Espeak:
    return _Espeak()
