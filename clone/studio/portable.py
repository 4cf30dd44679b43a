"""Voices as one portable file: recording, settings and what was learned; and such a file taken in again.

A file that comes in may be anything. Damage is found by hashes before anything is kept, the recording goes the way of
every recording, whoever brings it gives consent anew, and what was learned is used only if this engine made it so. What
a voice is like is measured again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from zipfile import ZipFile

from pydantic import BaseModel, ConfigDict, Field

from clone.audio.reader import read
from clone.audio.writer import mp3_bytes
from clone.contract.cloning import AUDIO_FORMATS, REFERENCE_MAX_BYTES, CloneOptions, parse
from clone.contract.orders import CloneOrder, check_asked, no_consent
from clone.contract.speech import check_language
from clone.core.errors import CancelledError, DiskFull, Refused, StoppingError, TimbreError, VoiceError
from clone.core.jobs import Stage, Stop, Tell, Waiting, Work, steps
from clone.core.settings import LOCAL
from clone.core.workspace import Workspace
from clone.engine.backend import LocalBackend
from clone.engine.profile import PROFILE_FILE, Profile
from clone.storage.database import utc_now
from clone.storage.voice import NAME_MAX_CHARS, NOTE_MAX_CHARS, TAGS_MAX, check_tags, one_line
from clone.storage.voices import Library
from clone.studio.analysis import enhanced
from clone.studio.archives import Archive, damaged
from clone.studio.cloning import Cloning, Prepared, new_voice
from clone.studio.evaluation import likeness
from clone.studio.results import Cloned, provenance_of

SUFFIX = ".timbre"
FORMAT, VERSION = "timbre-voices", 1
MANIFEST = "manifest.json"
WHAT = "The file of voices"
MAX_VOICES = 50
MAX_FILE_BYTES = 500_000_000
_MANIFEST_MAX_BYTES = 1_000_000
_PREVIEW = "preview.mp3"
_REFERENCES = tuple(f"reference.{kind}" for kind in AUDIO_FORMATS)
_PROMPTS = tuple(f"prompt.{kind}" for kind in (*AUDIO_FORMATS, "webm", "ogg", "flac", "mp4", "riff"))
PREVIEW_MAX_S = 300.0
"""Nobody says more in the text of a preview."""


class _Listed(BaseModel):
    model_config = ConfigDict(strict=True)

    folder: str = Field(pattern=r"^[0-9]{1,4}$")
    name: str = Field("", max_length=10 * NAME_MAX_CHARS)
    note: str = Field("", max_length=10 * NOTE_MAX_CHARS)
    tags: list[str] = Field(default_factory=list, max_length=10 * TAGS_MAX)
    settings: dict[str, Any] = Field(default_factory=dict, max_length=40)
    files: dict[str, str] = Field(min_length=1, max_length=12)


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True)

    format: str
    version: int
    voices: list[_Listed] = Field(min_length=1, max_length=MAX_VOICES)


@dataclass(frozen=True)
class Imported:
    """What came of a file of voices: those that are here now, and why others are not, by their names."""

    cloned: tuple[Cloned, ...]
    refused: tuple[tuple[str, TimbreError], ...]


class Portable:
    """Writes voices to files, and takes them in; thread-safe.

    Args:
        backend: learns what must be learned again.
        library: has the voices, and keeps them.
        cloning: judges recordings.
        workspace: lends folders.
        run: does a piece of work in turn, for an owner.
    """

    def __init__(
        self,
        backend: LocalBackend,
        library: Library,
        cloning: Cloning,
        workspace: Workspace,
        run: Callable[[str, Work], Iterator[object]],
    ) -> None:
        self._backend = backend
        self._library = library
        self._cloning = cloning
        self._workspace = workspace
        self._run = run

    def export_voices(self, voice_ids: Sequence[str], owner: str, path: Path) -> None:
        """Write voices of this machine to one file: recordings, settings, names and what was learned, nobody's consent.

        Raises:
            VoiceError: there is no such voice, or it is no file's to hold: it lives at the hosted service.
            Refused: ``too_many_voices``.
        """
        if not 0 < len(voice_ids) <= MAX_VOICES:
            raise Refused(
                f"{len(voice_ids)} voices are chosen; a file holds 1 to {MAX_VOICES}.",
                code="too_many_voices",
                field="voice_id",
                measured=len(voice_ids),
                limit=MAX_VOICES,
                advice="Choose fewer at a time." if voice_ids else "Choose one.",
            )
        voices = [self._library.get(voice_id, owner) for voice_id in dict.fromkeys(voice_ids)]
        for voice in voices:
            if voice.backend != LOCAL:
                raise VoiceError(
                    f"The voice {voice.voice_id} lives at the hosted service, and can't be taken elsewhere.",
                    code="other_backend",
                    field="voice_id",
                    advice="Leave it out.",
                )
        n_bytes = sum(voice.n_bytes for voice in voices)
        if n_bytes > MAX_FILE_BYTES:
            raise Refused(
                f"These voices have {n_bytes / 1e6:.0f} MB; a file holds at most {MAX_FILE_BYTES / 1e6:.0f} MB.",
                code="file_too_big",
                field="voice_id",
                measured=n_bytes,
                limit=MAX_FILE_BYTES,
                advice="Choose fewer at a time.",
            )
        listed = []
        with ZipFile(path, "w") as archive:
            for number, voice in enumerate(voices, 1):
                hashes = {}
                for name in voice.files:
                    data = self._library.read(voice, name)
                    archive.writestr(f"{number}/{name}", data)
                    hashes[name] = hashlib.sha256(data).hexdigest()
                told = {"folder": str(number), "name": voice.name, "note": voice.note, "tags": voice.tags}
                listed.append(told | {"settings": voice.settings, "files": hashes})
            manifest = {"format": FORMAT, "version": VERSION, "made_at": utc_now().isoformat(), "voices": listed}
            archive.writestr(MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1))

    def import_voices(
        self, path: Path, owner: str, *, consent: bool
    ) -> Generator[Stage | Waiting | Imported, None, None]:
        """Take in the voices of a file, each with a new voice_id, temporary as any clone; what is here already stays.

        Args:
            path: the file.
            owner: whose they are from now on.
            consent: whether the owner says anew that those recorded agreed to be cloned.

        Yields:
            What is going on, and last the Imported. Closing the iterator cancels; what came in before stays.

        Raises:
            ConsentError: nobody says so.
            Refused: ``damaged_file``, ``file_newer``; what else Archive refuses.
            TimbreError: what refuses the one voice, or the first where none came in.
        """
        if not consent:
            raise no_consent()
        cloned: list[Cloned] = []
        refused: list[tuple[str, TimbreError]] = []
        with self._workspace.folder() as folder:
            for listed, files in _unpacked(path, folder):
                name = one_line(listed.name)[:NAME_MAX_CHARS]
                try:
                    order = _order(listed, files, CloneOrder(owner, Path(), CloneOptions(), consent, name=name))
                    for event in self._run(owner, partial(self._take_in, order, listed, files)):
                        if isinstance(event, Cloned):
                            cloned.append(event)
                        else:
                            yield cast(Stage | Waiting, event)
                except (CancelledError, StoppingError, DiskFull):
                    raise
                except TimbreError as e:
                    refused.append((name, e))
        if not cloned:
            raise refused[0][1]
        yield Imported(tuple(cloned), tuple(refused))

    def _take_in(self, order: CloneOrder, listed: _Listed, files: dict[str, Path], tell: Tell, stop: Stop) -> Cloned:
        """Keep one voice, unless the same was cloned here already."""
        step, tags = steps(tell, 4), check_tags(",".join(listed.tags))
        step("Reading the recording")
        parts = {"audio": order.audio, "prompt_audio": order.prompt_audio}
        given = {name: path for name, path in parts.items() if isinstance(path, Path)}
        key = self._cloning.key(order, given) or ""
        if there := self._cloning.again(order, key):
            return there
        prepared = self._cloning.prepare(order, given, partial(step, "Checking the recording"), stop)
        step("Learning the voice")
        profile = self._profile(order, files, prepared, stop)
        kept = {f"reference.{prepared.look.suffix}": prepared.look.kept, PROFILE_FILE: profile.to_bytes()}
        if prepared.prompt and prepared.prompt_path:
            kept[f"prompt.{prepared.prompt.format}"] = prepared.prompt_path.read_bytes()
        note = one_line(listed.note)[:NOTE_MAX_CHARS]
        voice = replace(new_voice(order, prepared.look.recording, key), note=note, tags=tags)
        if _PREVIEW in files and order.options.text is not None:
            step("Comparing the clone with the original")
            said = read(files[_PREVIEW], stop=stop, most_s=PREVIEW_MAX_S)
            voice = voice.measured(likeness(self._backend, profile, said.samples, said.sample_rate, stop))
            voice = replace(voice, settings=voice.settings | {"engine": _engine(listed)})
            made = provenance_of(voice)
            kept[_PREVIEW] = mp3_bytes(said.samples, said.sample_rate, stop=stop, provenance=made)
        stop.check()
        with self._library.alone("room", order.owner, wait=stop.pause):
            self._cloning.check_room(order.owner, kept)
            return Cloned(self._library.add(voice, kept), False)

    def _profile(self, order: CloneOrder, files: dict[str, Path], prepared: Prepared, stop: Stop) -> Profile:
        """Return what was learned, where this engine made it so; else learn it from the recording.

        What engines beside Kokoro and hibari learned they learn again when the voice next speaks.
        """
        found = Profile.from_elsewhere(files[PROFILE_FILE].read_bytes()) if PROFILE_FILE in files else None
        if found is not None:
            return found
        return self._backend.learn(enhanced(prepared.look.heard, order.options, stop), prepared.prompt_heard, stop)


def _unpacked(path: Path, folder: Path) -> list[tuple[_Listed, dict[str, Path]]]:
    """Return the voices of a file, with what belongs to each by its name, whole as their hashes say.

    Args:
        path: the file.
        folder: where it is unpacked to; no name in the file says where.
    """
    bounds = {"max_bytes": MAX_FILE_BYTES, "max_unpacked_bytes": MAX_FILE_BYTES}
    found = []
    with Archive(path, WHAT, max_entries=16 * MAX_VOICES, **bounds) as archive:
        manifest = _manifest(archive.read(MANIFEST, _MANIFEST_MAX_BYTES))
        for number, listed in enumerate(manifest.voices):
            files: dict[str, Path] = {}
            for name in (*_REFERENCES, *_PROMPTS, _PREVIEW, PROFILE_FILE):
                if name not in listed.files:
                    continue
                data = archive.read(f"{listed.folder}/{name}", REFERENCE_MAX_BYTES)
                if hashlib.sha256(data).hexdigest() != listed.files[name]:
                    raise damaged(WHAT)
                files[name] = folder / f"{number}-{name}"
                files[name].write_bytes(data)
            if sum(name in files for name in _REFERENCES) != 1:
                raise damaged(WHAT)
            found.append((listed, files))
    return found


def _manifest(data: bytes) -> _Manifest:
    try:
        told = json.loads(data)
        is_newer = told["format"] == FORMAT and type(told["version"]) is int and told["version"] > VERSION
        manifest = None if is_newer else _Manifest.model_validate(told)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise damaged(WHAT) from None
    if manifest is None:
        raise Refused(
            "A later version of Timbre has written this file.",
            code="file_newer",
            field="file",
            measured=told["version"],
            limit=VERSION,
            advice="Update Timbre.",
        )
    if manifest.format != FORMAT or manifest.version != VERSION:
        raise damaged(WHAT)
    return manifest


def _order(listed: _Listed, files: dict[str, Path], asked: CloneOrder) -> CloneOrder:
    """Return a voice of a file as an order to clone it, in which all is checked as if it had been typed in."""
    told = listed.settings
    options = {name: told[name] for name in CloneOptions.model_fields if told.get(name) is not None}
    text, language = told.get("prompt_text"), told.get("language")
    prompt = next((files[name] for name in _PROMPTS if name in files), None)
    order = replace(
        asked,
        audio=next(files[name] for name in _REFERENCES if name in files),
        options=parse(CloneOptions, options),
        prompt_audio=prompt,
        prompt_text=str(text) if prompt and text else None,
        language=check_language(language if isinstance(language, str) else None),
    )
    check_asked(order)
    return order


def _engine(listed: _Listed) -> str:
    return one_line(str(listed.settings.get("engine") or ""))[:NAME_MAX_CHARS]
