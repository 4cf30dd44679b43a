"""From an order to a voice: cloned here or by the hosted service, each in one function, and what both begin with."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from clone.audio.reader import Recording
from clone.audio.writer import accepted, mp3_bytes
from clone.contract.cloning import ACCURACY_DEFAULT, check_format, check_size
from clone.contract.orders import CloneOrder
from clone.contract.speech import AS_IT_IS
from clone.core import watch
from clone.core.errors import VoiceError
from clone.core.jobs import Stop, Tell, steps
from clone.core.settings import LOCAL, NOVITA
from clone.engine.backend import SAMPLE_RATE, Heard, LocalBackend
from clone.engine.profile import ENGINE_VERSION
from clone.storage.voice import NAME_MAX_CHARS, Voice, given_id, one_line, taken
from clone.storage.voices import Library
from clone.studio.analysis import Examining, Look, clip_of, enhanced, refuse_unheard
from clone.studio.evaluation import likeness, likeness_of_file
from clone.studio.hosted import N_STEPS, Asked, Calls, files_of
from clone.studio.prompts import Prompts
from clone.studio.results import Cloned, provenance_of, replayed
from clone.studio.synthesis import Synthesis


@dataclass(frozen=True)
class Prepared:
    """What an order's files come to, once nothing refuses them.

    Attributes:
        look: at what is cloned: all of the recording or its part.
        prompt, prompt_heard, prompt_path: the prompt clip; None without one.
    """

    look: Look
    prompt: Recording | None = None
    prompt_heard: Heard | None = None
    prompt_path: Path | None = None


class Cloning:
    """Clones what was ordered, once; thread-safe.

    Args:
        backend: the engine of this machine.
        library: keeps the voices.
        looks: looks at the recording; checks a prompt clip against its transcript.
        synthesis: says the preview.
        calls: asks the hosted service.
    """

    def __init__(
        self,
        backend: LocalBackend,
        library: Library,
        looks: tuple[Examining, Prompts],
        synthesis: Synthesis,
        calls: Calls,
    ) -> None:
        self._backend = backend
        self._library = library
        self._examining, self._prompts = looks
        self._synthesis = synthesis
        self._calls, self.check_room = calls, calls.check_room

    def key(self, order: CloneOrder, files: Mapping[str, Path]) -> str | None:
        """Return the hash by which an order is known again; None where a file can't be read: reading it says why."""
        backend = self._calls.base_url if order.backend == NOVITA else self._backend.name
        try:
            return request_key(order, files["audio"], files.get("prompt_audio"), backend)
        except (OSError, ValueError):  # a name that no file can have
            return None

    def again(self, order: CloneOrder, key: str | None) -> Cloned | None:
        """Return the voice that the same order made before, if it is still there.

        Raises:
            VoiceError: ``voice_exists``: the id that the order chooses is another voice's.
        """
        voice = self._library.again(key, order.owner) if key else None
        if voice is None and order.voice_id and self._is_there(given_id(order.owner, order.voice_id), order.owner):
            raise taken()
        return None if voice is None else replayed(voice)

    def _is_there(self, voice_id: str, owner: str) -> bool:
        try:
            self._library.get(voice_id, owner)
        except VoiceError:
            return False
        return True

    def run(
        self,
        order: CloneOrder,
        files: Mapping[str, Path],
        key: str | None,
        tell: Tell,
        stop: Stop,
        *,
        language: str | None,
    ) -> Cloned:
        """Clone a voice and keep it.

        Args:
            order: what is asked for.
            files: its ``audio`` and, if there is one, its ``prompt_audio``, on this machine.
            key: the order's; None where it is not known yet.
            tell: called with the stages.
            stop: obeyed, of a hosted clone until the request is sent.
            language: of the preview's text, where this machine speaks it.

        Raises:
            TimbreError: what refuses or fails, at its field.
        """
        key = key or self.key(order, files)
        asked = order, files, key or "", tell, stop
        if order.backend == NOVITA:  # a paid request is sent once by its journal, and nobody waits there
            return self.again(order, key) or self._hosted(*asked)
        with self._library.alone("clone", order.owner, key or uuid.uuid4().hex, wait=stop.pause):
            return self.again(order, key) or self._local(*asked, language=language)

    def _local(
        self, order: CloneOrder, files: Mapping[str, Path], key: str, tell: Tell, stop: Stop, *, language: str | None
    ) -> Cloned:
        text = order.options.text
        script = [] if text is None else self._backend.script(text, language, stop)
        step = steps(tell, 4 + len(script))
        step("Reading the recording")
        prepared = self.prepare(order, files, partial(step, "Checking the recording"), stop)
        step("Learning the voice")
        profile = self._backend.learn(enhanced(prepared.look.heard, order.options, stop), prepared.prompt_heard, stop)
        kept = {f"reference.{prepared.look.suffix}": prepared.look.kept, **profile.files()}
        if prepared.prompt and prepared.prompt_path:
            kept[f"prompt.{prepared.prompt.format}"] = prepared.prompt_path.read_bytes()
        samples = self._synthesis.say(profile, script, (order.options.model or "", AS_IT_IS), step, stop)
        step("Comparing the clone with the original")
        alike = likeness(self._backend, profile, samples, SAMPLE_RATE, stop) if script else None
        voice = new_voice(order, prepared.look.recording, key).measured(alike)
        if script:
            engine = self._backend.engine(order.options.model or "", script[0].language, profile=profile)
            voice = replace(voice, settings=voice.settings | {"engine": engine.title})
            kept["preview.mp3"] = mp3_bytes(samples, SAMPLE_RATE, stop=stop, provenance=provenance_of(voice))
        stop.check()
        with self._library.alone("room", order.owner, wait=stop.pause):
            self.check_room(order.owner, kept)
            added = self._library.add(voice, kept)
        watch.CLONES.labels(added.engine or "none").inc()
        return Cloned(added, False)

    def _hosted(self, order: CloneOrder, files: Mapping[str, Path], key: str, tell: Tell, stop: Stop) -> Cloned:
        step = steps(tell, N_STEPS)
        step("Reading the recording")
        prepared = self.prepare(order, files, partial(step, "Checking the recording"), stop)
        entire = order.audio if order.segment is None else None
        clip, prompt = clip_of(entire, prepared.look.recording, (prepared.look.kept, prepared.look.suffix)), None
        if prepared.prompt and prepared.prompt_path:
            prompt = clip_of(order.prompt_audio, prepared.prompt, accepted(prepared.prompt, prepared.prompt_path, stop))
        measure = partial(likeness_of_file, self._backend, prepared.look.heard, order.options)
        asked = Asked(order, new_voice(order, prepared.look.recording, key), (clip, prompt), measure)
        self.check_room(order.owner, files_of(asked.clips))
        return self._calls.clone(asked, tell, stop)

    def prepare(
        self, order: CloneOrder, files: Mapping[str, Path], checking: Callable[[], None], stop: Stop
    ) -> Prepared:
        """Read and judge what is cloned, and the prompt clip."""

        def begin(recording: Recording) -> None:
            if order.as_sent and order.segment is None:
                check_format(recording.format)
                check_size(recording.n_bytes)
            checking()
            refuse_unheard(recording)

        look = self._examining.look(files["audio"], order.segment, stop, begin)
        look.report.raise_if_refused()
        path = files.get("prompt_audio")
        clip, prompt = self._prompts.checked(order, path, stop) if path else (None, None)
        return Prepared(look, clip, prompt, path)


def request_key(order: CloneOrder, path: Path, prompt_path: Path | None, backend: str) -> str:
    """Return a hash of everything asked for: the same bytes, settings and backend give the same one.

    What has no effect makes no other request: a model or a language without a text, an accuracy without a prompt clip.

    Raises:
        OSError: a file can't be read.
    """
    speaks = order.options.text is not None
    without: dict[str, object] = {} if speaks else {"model": None}
    without |= {} if prompt_path else {"accuracy": ACCURACY_DEFAULT}
    asked: dict[str, object] = {
        "audio": _sha256(path),
        "prompt_audio": _sha256(prompt_path) if prompt_path else None,
        "prompt_text": (order.prompt_text or "").strip(),
        "options": order.options.model_dump() | without,
        "backend": backend,
    }
    if order.voice_id:
        asked["voice_id"] = order.voice_id
    if order.segment is not None:
        asked["stretch"] = order.segment  # as it was called when the first keys were made
    if speaks and order.language is not None:
        asked["language"] = order.language
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def new_voice(order: CloneOrder, recording: Recording, key: str) -> Voice:
    """Return the voice of an order as the library will keep it, with an id of its own."""
    now = datetime.now(UTC)
    return Voice(
        voice_id=given_id(order.owner, order.voice_id) if order.voice_id else f"voice_{uuid.uuid4()}",
        owner=order.owner,
        name=one_line(order.name)[:NAME_MAX_CHARS],
        backend=order.backend,
        model=order.options.model,
        settings=order.options.model_dump()
        | {"prompt_text": order.prompt_text, "segment": order.segment, "language": order.language}
        | ({"given_id": order.voice_id} if order.voice_id else {}),
        reference_sha256=recording.sha256,
        request_key=key,
        consent_at=now,
        consent_by=order.owner,
        created_at=now,
        engine_version=ENGINE_VERSION if order.backend == LOCAL else "",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
