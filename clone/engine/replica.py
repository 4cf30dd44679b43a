"""The engine on another machine: what a replica of Ray Serve runs, and how a call and its answers travel.

A replica has neither database nor files of anybody's: all that a call needs comes with it. What was learned of a voice
comes as a reference, and is fetched by it once: it is known by its hash from then on. So every call may be repeated,
here or elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import logging
import os
import pickle
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from clone.core.errors import EngineError, TimbreError
from clone.core.jobs import REST_AFTER_S, Stop
from clone.engine.backend import LocalBackend
from clone.engine.profile import ENGINE_VERSION, PROFILE_FILE, Profile

log = logging.getLogger(__name__)

LOCAL = "clone.engine.replica:local"
"""What makes the backend of a replica, as module:function."""

PROFILES_MAX_BYTES = 256_000_000
"""Of what was learned of voices in a replica: 30 of them and more."""
FETCHED_WITHIN_S = 30.0

STREAMED = frozenset({"stream", "utter"})
STOPPABLE = frozenset({"learn", "learn_more", "script", "speak", "windows"}) | STREAMED
METHODS = frozenset({"language", "listen", "read", "transcribe", "voices", "words"}) | STOPPABLE
"""Of a backend, what may be asked for; of which some can be stopped, and some give parts."""


Fetch = Callable[[str], bytes]
"""Gets what was handed over of a voice, by its hash."""


@dataclass(frozen=True)
class Known:
    """What was learned of a voice, in a call: by its hash alone."""

    sha256: str


@dataclass(frozen=True)
class Reply:
    """One answer of several: a value, an error, or, last, which engines are here."""

    value: object = None
    error: Exception | None = None
    engines: tuple[str, ...] | None = None


def packed(profile: Profile) -> bytes:
    """Return what was learned of a voice so that it speaks elsewhere as it does here: the files it is kept as, exact.

    The same gives the same bytes.
    """
    files = profile.files() | {PROFILE_FILE: profile.to_bytes(exact=True)}
    mixed = [
        (share, replace(profile, frames=frames, others={}, mixed=()).to_bytes(exact=True))
        for share, frames in profile.mixed
    ]
    return pickle.dumps((sorted(files.items()), mixed), protocol=5)


def unpacked(data: bytes) -> Profile:
    """Return what packed() made bytes of.

    Raises:
        EngineError: ``engine_version``, another version of Timbre made it.
    """
    files, mixed = pickle.loads(data)
    others = {name.removesuffix(".npz"): kept for name, kept in files if name != PROFILE_FILE}
    frames = tuple((share, _profile(file).frames) for share, file in mixed)
    return replace(_profile(dict(files)[PROFILE_FILE]), others=others, mixed=frames)


def _profile(file: bytes) -> Profile:
    profile = Profile.from_bytes(file)
    if profile is None:
        raise EngineError(
            "The engines are of another version than this Timbre.",
            code="engine_version",
            limit=ENGINE_VERSION,
            advice="Run the same version on every machine.",
        )
    return profile


def local() -> LocalBackend:
    """Return the engine of this machine, with what was got in its TIMBRE_HOME, ready to speak."""
    from clone.core.settings import Settings
    from clone.engine.models import Models

    home = Settings.from_environment().home
    backend = LocalBackend(home / "weights", Models(home / "models", judge=lambda _: ""))
    backend.warm()
    return backend


class Replica:
    """One engine, asked by many: one call at a time, each a stream of answers.

    Args:
        made_by: what makes its backend, as module:function.
    """

    def __init__(self, made_by: str = LOCAL) -> None:
        module, _, name = made_by.partition(":")
        self._backend: LocalBackend = getattr(importlib.import_module(module), name)()
        self._working = threading.Lock()
        self._profiles = _Profiles()
        self._resting = threading.Timer(0.0, self._backend.rest)

    async def call(self, asked: bytes, voices: Mapping[str, list[Any]]) -> AsyncIterator[bytes]:
        """Do what is asked for. Being cancelled stops it, within a second.

        Args:
            asked: (method, positional, named, the request's id), pickled; a voice in there is a Known.
            voices: what was learned of them, each a reference of Ray's in a list, so that only who needs it gets it.

        Yields:
            Answers, pickled; what they say goes through Ray as bytes.
        """
        stop, answers = Stop(), asyncio.Queue[bytes | None]()
        loop = asyncio.get_running_loop()

        def tell(answer: bytes | None) -> None:
            loop.call_soon_threadsafe(answers.put_nowait, answer)

        threading.Thread(
            target=self._work, args=(asked, partial(_fetched, voices), stop, tell), name="timbre-call", daemon=True
        ).start()
        try:
            while (answer := await answers.get()) is not None:
                yield answer
        finally:
            stop.ask()

    def _work(self, asked: bytes, fetch: Fetch, stop: Stop, tell: Callable[[bytes | None], object]) -> None:
        try:
            for answer in self._answers(asked, fetch, stop):
                tell(pickle.dumps(answer, protocol=5))
                stop.check()
        except RuntimeError:  # the loop is gone, and the replica with it
            log.debug("An answer was not taken.")
        except TimbreError:  # nobody waits any more
            pass
        tell(None)

    def _answers(self, asked: bytes, fetch: Fetch, stop: Stop) -> Iterator[Reply]:
        request = ""
        try:
            method, given, named, request = pickle.loads(asked)
            given = tuple(self._profiles.get(each, fetch) if isinstance(each, Known) else each for each in given)
            with self._working:
                self._resting.cancel()
                stop.check()
                for value in self._values(method, given, named, stop):
                    yield Reply(value)
                self._rest_soon()
            yield Reply(engines=tuple(self._backend.here()))
        except TimbreError as error:
            yield Reply(error=error)
        except Exception as error:  # noqa: BLE001  whatever it is belongs to the caller
            # Without the message, which may have a text in it.
            log.error("A call of request %s failed: %s at %s", request, type(error).__name__, _place(error))
            yield Reply(error=EngineError(f"An engine failed ({type(error).__name__}).", code="engine_failed"))

    def _values(self, method: str, given: tuple[Any, ...], named: dict[str, Any], stop: Stop) -> Iterator[object]:
        if method == "about":
            return
        if method not in METHODS:
            raise EngineError(f"An engine has no “{method[:20]}”.", code="engine_version")
        if method in STOPPABLE:
            named = named | {"stop": stop}
        value = getattr(self._backend, method)(*given, **named)
        if method in STREAMED:
            yield from value
        elif method == "listen":
            yield value.spans  # who asks has the sound
        else:
            yield packed(value) if isinstance(value, Profile) else value

    def _rest_soon(self) -> None:
        self._resting = threading.Timer(REST_AFTER_S, self._backend.rest)
        self._resting.daemon = True
        self._resting.start()


class _Profiles:
    """What was learned of voices, by its hash: the last that were used. Thread-safe."""

    def __init__(self, max_bytes: int = PROFILES_MAX_BYTES) -> None:
        self._lock = threading.Lock()
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[Profile, int]] = OrderedDict()

    def get(self, known: Known, fetch: Fetch) -> Profile:
        with self._lock:
            if known.sha256 not in self._kept:
                data = fetch(known.sha256)
                if hashlib.sha256(data).hexdigest() != known.sha256:
                    raise EngineError("A voice did not arrive at the engine whole.", code="engine_failed")
                self._kept[known.sha256] = unpacked(data), len(data)
            self._kept.move_to_end(known.sha256)
            profile = self._kept[known.sha256][0]
            while len(self._kept) > 1 and sum(n for _, n in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)
        return profile


def _fetched(voices: Mapping[str, list[Any]], sha256: str) -> bytes:
    import ray

    return cast(bytes, ray.get(voices[sha256][0], timeout=FETCHED_WITHIN_S))


def _place(error: Exception) -> str:
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f"{os.path.basename(at.tb_frame.f_code.co_filename)}:{at.tb_lineno}" if at else "?"
