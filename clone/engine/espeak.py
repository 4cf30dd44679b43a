"""Spanish, French, Italian, Portuguese and Hindi on their way to phonemes, by espeak-ng: the GPL-3.0 extra.

Nothing of it is imported, loaded or needed unless requirements-languages.txt was installed.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import re
import threading
from functools import cache
from typing import Any

from clone.engine.text import tidied

PACKAGE = "espeakng_loader"
VOICES = {"es": "es", "fr": "fr", "it": "it", "pt": "pt-br", "hi": "hi"}
"""espeak-ng's own names; the accents that Kokoro learned."""

_SILENT, _UTF8, _IPA, _TIED = 2, 1, 0x02, 0x80
_TIE = "^"

SINGLE = {
    "a^ɪ": "I", "a^ʊ": "W", "e^ɪ": "A", "o^ʊ": "O", "ə^ʊ": "Q", "ɔ^ɪ": "Y",
    "d^z": "ʣ", "d^ʒ": "ʤ", "t^s": "ʦ", "t^ʃ": "ʧ", "s^s": "S",
}  # fmt: skip
"""What espeak-ng writes as two tied symbols and Kokoro as one."""

MARKS = {"«": "“", "»": "”", "„": "“", "।": ".", "॥": ".", "–": "—", "¿": "", "¡": ""}
_MARKED = re.compile(r"([,;:.!?…]+(?=[\s”\")]|$)|[—“”\"()])")
_OTHER_LANGUAGE = re.compile(r"\([^()]*\)")
"""espeak-ng says in brackets where it reads a word by another language's rules."""


def installed() -> bool:
    """Tell whether the extra is there; loads nothing of it."""
    return importlib.util.find_spec(PACKAGE) is not None


def phonemes(sentence: str, language: str) -> str:
    """Return a sentence in Kokoro's symbols.

    Args:
        sentence: in that language.
        language: one of VOICES.

    Raises:
        OSError: the library can't be loaded.
    """
    plain = "".join(MARKS.get(c, c) for c in sentence)
    said = []
    for i, part in enumerate(_MARKED.split(plain)):
        if i % 2:
            said.append(f" {part}" if part in "(“" else f"{part} ")
        elif part.strip():
            said.append((" " if part[0].isspace() else "") + _espeak().ipa(part.strip(), VOICES[language]))
            said.append(" " if part[-1].isspace() else "")
    return tidied("".join(said))


class _Espeak:
    """The library, loaded once; it keeps one voice for the whole process, hence the lock."""

    def __init__(self) -> None:
        loader: Any = importlib.import_module(PACKAGE)
        self._library = ctypes.CDLL(str(loader.get_library_path()))
        self._library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        self._library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        self._library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        if self._library.espeak_Initialize(_SILENT, 0, str(loader.get_data_path()).encode(), 0) < 0:
            raise OSError("espeak-ng can't be started")
        self._lock = threading.Lock()

    def ipa(self, text: str, voice: str) -> str:
        """Return a text without punctuation as Kokoro writes it."""
        rest = ctypes.c_char_p(text.encode())
        heard = []
        with self._lock:
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise OSError(f"espeak-ng has no voice {voice}")
            while rest.value:
                mode = _IPA | _TIED | ord(_TIE) << 8
                heard.append(self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, mode) or b"")
        ipa = _OTHER_LANGUAGE.sub("", b" ".join(heard).decode())
        for tied, single in SINGLE.items():
            ipa = ipa.replace(tied, single)
        return ipa.replace(_TIE, "").replace("-", "")


@cache
def _espeak() -> _Espeak:
    return _Espeak()
