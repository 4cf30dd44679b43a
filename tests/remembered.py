"""What the networks answered in this run of the tests: hundreds of tests clone the same three recordings.

Learning a voice and judging one are functions of what they are given. Each answer is computed once, by the real
network, and kept on disk for the length of the run, whichever process asks again. Speaking is not among them: tests
stop it, wait for it, and count on its taking a while.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = "TESTS_REMEMBERED"
"""The environment variable that names the folder; without it nothing is kept."""

KEPT = {
    "clone.engine.asr": ("Recognizer.transcribe", "Recognizer.words", "Recognizer.language", "Recognizer.features"),
    "clone.engine.speaker": ("SpeakerEncoder.windows", "pitch_hz"),
    "clone.engine.backend": ("speech_spans",),
    "clone.engine.converted": ("_own_hz",),
    "clone.engine.conversion": ("analyse",),
}


def install() -> None:
    """Have the functions above remember, in this process and where it forks to."""
    if FOLDER not in os.environ:
        return
    for module, names in KEPT.items():
        for name in names:
            owner = importlib.import_module(module)
            *path, last = name.split(".")
            for each in path:
                owner = getattr(owner, each)
            function = getattr(owner, last)
            if not hasattr(function, "remembers"):
                setattr(owner, last, _remembering(function, name, is_method=bool(path)))


def _remembering(function: Callable[..., Any], name: str, *, is_method: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def remembering(*given: Any, **named: Any) -> Any:
        path = Path(os.environ[FOLDER]) / _key(name, given[is_method:], named)
        if path.is_file():
            for each in (*given, *named.values()):
                if hasattr(each, "on_stop"):
                    each.check()
            return pickle.loads(path.read_bytes())
        answer = function(*given, **named)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as written:
            pickle.dump(answer, written, protocol=5)
        os.replace(written.name, path)
        return answer

    remembering.remembers = True  # type: ignore[attr-defined]
    return remembering


def _key(name: str, given: tuple[Any, ...], named: dict[str, Any]) -> str:
    digest = hashlib.blake2b(name.encode(), digest_size=20)
    for each in (*given, *sorted(named.items())):
        _add(digest, each)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif isinstance(value, list | tuple):
        for each in value:
            _add(digest, each)
    elif isinstance(value, str | int | float | None):
        digest.update(f"{type(value).__name__} {value!r};".encode())
    # what else there is, a stop or the networks, changes no answer
