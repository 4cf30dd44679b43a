"""espeak-ng as a program of its own: asked for one clause a line, it answers with its phonemes.

It is written in C and dies of some texts; run by engine.g2p.espeak, it does not take the app with it. Reads lines of
JSON, ``[voice, text]``, and answers each with a line of JSON: the phonemes, or null where there is no such voice. Its
first line says that it is ready.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import signal
import sys
from typing import Any

_SILENT, _UTF8, _IPA, _TIED = 2, 1, 0x02, 0x80
TIE = "^"
_MODE = _IPA | _TIED | ord(TIE) << 8


def main() -> None:
    """Answer until there is nothing more to read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app, whose end is this one's, too
    library = _library()
    _write("ready")
    for line in sys.stdin.buffer:
        voice, text = json.loads(line)
        _write(_phonemes(library, text) if library.espeak_SetVoiceByName(voice.encode()) == 0 else None)


def _library() -> ctypes.CDLL:
    loader: Any = importlib.import_module("espeakng_loader")
    library = ctypes.CDLL(str(loader.get_library_path()))
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    if library.espeak_Initialize(_SILENT, 0, str(loader.get_data_path()).encode(), 0) < 0:
        raise OSError("espeak-ng can't be started")
    return library


def _phonemes(library: ctypes.CDLL, text: str) -> str:
    rest, heard = ctypes.c_char_p(text.encode()), []
    while rest.value:
        heard.append(library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _MODE) or b"")
    return b" ".join(heard).decode()


def _write(answer: str | None) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
