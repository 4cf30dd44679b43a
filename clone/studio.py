"""The use cases: check, clone, speak, keep, forget. Every step of the way of a recording is strung together here.

Page, command line and API all call Studio; rules of consent, limits, quotas and retention live here or below.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import cast

from clone import card, contract, intake
from clone.audio import preflight
from clone.audio.encode import FileWriter
from clone.audio.finding import Report
from clone.audio.read import MAX_INTAKE_BYTES, Recording, read
from clone.audio.write import accepted, file_bytes, mp3_bytes
from clone.calls import Calls, files_of
from clone.comparing import Comparison, compare, likeness, likeness_of_file
from clone.engine.conversion import SAMPLE_RATE
from clone.engine.local import Heard, LocalBackend
from clone.errors import BusyError
from clone.examining import Bounds, Examination, Examining, Excerpt, Match, PromptPair, enhanced
from clone.fetch import fetch
from clone.hosted import clip_of
from clone.jobs import Queue, Stage, Stop, Tell, Waiting, Work, steps
from clone.library import Library
from clone.orders import Cloned, CloneOrder, Passage, SpeakOrder, Spoken, check_asked
from clone.receipt import new_voice, provenance_of, request_key
from clone.recital import Event, Recital
from clone.retention import Retention
from clone.settings import LOCAL, NOVITA, Settings
from clone.snippets import RequestCode
from clone.store import Store, make_private_folder
from clone.t2a import AS_IT_IS
from clone.tasks import Tasks
from clone.voice import Voice, check_name, check_note
from clone.workspace import Workspace

__all__ = [
    "CloneOrder",
    "Cloned",
    "Comparison",
    "Examination",
    "Excerpt",
    "FileWriter",
    "Match",
    "Passage",
    "PromptPair",
    "RequestCode",
    "SpeakOrder",
    "Spoken",
    "Stage",
    "Studio",
    "Voice",
    "Waiting",
]

log = logging.getLogger(__name__)

MAX_OWNER_BYTES = 1_000_000_000
"""Disk that one owner's voices may take."""


class Studio:
    """One per process; thread-safe. Call start() once, close() at the end."""

    def __init__(self, settings: Settings, backend: LocalBackend | None = None) -> None:
        make_private_folder(settings.home)
        self._settings = settings
        store = Store(settings.store_url, settings.home / "copies")
        self._library = Library(settings, store)
        self._backend = backend or LocalBackend(settings.home / "weights")
        self._queue = Queue(rest=self._backend.rest)
        self._warm = threading.Event()
        self._workspace = Workspace(settings.home / "work")
        self._examining = Examining(self._backend, self._workspace, self._file)
        self.calls = Calls(settings, store, self._library, self._workspace)
        self._retention = Retention(self._library, self.calls.publisher.sweep)
        self._recital = Recital(self._backend, self._library, self._run)
        self.language_of = self._backend.language_of

    @property
    def ready(self) -> bool:
        """Whether every model is loaded and warm."""
        return self._warm.is_set()

    def start(self, *, warm: bool = True) -> None:
        """Tidy up after what was killed, enforce retention from now on, and warm the models, all beside the caller.

        Args:
            warm: load the models ahead of the first job; a command line that may need none does not.
        """
        self._workspace.sweep()
        self._library.reconcile()
        self._library.purge()
        self.calls.publisher.sweep()
        self._retention.start()
        if warm:
            threading.Thread(target=self._warm_up, name="timbre-warm", daemon=True).start()

    def close(self) -> None:
        """Stop the purge, delete what could still be brought back, take back what is lent, let go of the library."""
        self._retention.close()
        self.calls.publisher.close()
        self._library.close()

    def download(self, url: str, folder: Path, stop: Stop | None = None) -> Path:
        """Get a recording into a folder; raises FetchError, or CancelledError once ``stop`` was asked."""
        return self._file(url, folder, "audio", stop or Stop())

    def check(self, audio: Path | str) -> Report:
        """Say whether a recording can be cloned, why not, and what would make it better; raises as examine()."""
        return list(self.examine(audio))[-1].report

    def examine(self, audio: Path | str) -> Iterator[Examination]:
        """Look at a recording: report, picture and best stretch, as they come; see Examining.examine."""
        return self._examining.examine(audio)

    def hear(self, audio: Path | str, bounds: Bounds | None, *, noise: bool = False, volume: bool = False) -> Excerpt:
        """Return a part of a recording as it would be learned from; see Examining.hear."""
        return self._examining.hear(audio, bounds, noise, volume)

    def prompt_pair(self, audio: Path | str, bounds: Bounds | None = None) -> PromptPair:
        """Cut a clean sentence out of a recording and write down what is said; see Examining.prompt_pair."""
        return self._examining.prompt_pair(audio, bounds)

    def match(self, prompt_audio: Path, text: str | None, heard: str | None = None) -> Match:
        """Compare a prompt clip with its transcript, or write one; see Examining.match."""
        return self._examining.match(prompt_audio, text, heard)

    def clone(self, order: CloneOrder) -> Iterator[Stage | Waiting | Cloned]:
        """Clone a voice; with a text and a model, speak its preview.

        Yields:
            What is going on, at least every quarter of a second; the last item is the Cloned.
            Closing the iterator cancels within a second.

        Raises:
            TimbreError: what refuses or fails, at its field.
        """
        check_asked(order)
        if isinstance(order.audio, Path) and not isinstance(order.prompt_audio, str):
            stored = self._replay(order, order.audio, order.prompt_audio)
            if stored is not None:
                yield stored
                return
        if order.backend == NOVITA:
            self.calls.hosted.check(order)
        elif order.options.text is not None:
            self._backend.check_text(order.options.text, order.language)
        for event in self._run(order.owner, lambda tell, stop: self._clone(order, tell, stop), order.backend):
            yield cast(Stage | Waiting | Cloned, event)

    def request_code(self, order: CloneOrder, served_at: str = "") -> RequestCode:
        """Return an order to clone as curl, Python and JavaScript that run as they stand, but for the key.

        A recording given by a link is asked for by that link. Of any other, which is checked first, a copy is lent by
        a link that lives for an hour and ends with the app.

        Args:
            order: its backend says whose API is asked; its key is not used.
            served_at: the address at which the one who asks reaches this app; by default where it is served.

        Raises:
            TimbreError: as clone(); PublishError: the hosted service has no way to a file here.
        """
        check_asked(order)
        if order.backend == NOVITA and not intake.is_by_links(order):
            self.calls.publisher.check()
        elif order.backend == LOCAL and order.options.text is not None:
            self._backend.check_text(order.options.text, order.language)
        with self._examining.place() as folder:
            path = partial(self._file, order.audio, folder, "audio", Stop())
            clips = intake.clips(self._backend, order, path)
        return self.calls.request_code(order, clips, served_at or f"http://127.0.0.1:{self._settings.server_port}")

    def speak(self, order: SpeakOrder) -> Iterator[Stage | Waiting | Spoken]:
        """Say a text with a voice, which makes the voice permanent.

        Yields and raises as clone() does; the last item is the Spoken.
        """
        contract.check_model(order.model)
        backend = self._library.get(order.voice_id, order.owner).backend
        if backend == NOVITA:
            contract.check_text(order.text, contract.SPEECH_TASK_MAX_CHARS)
            self.calls.hosted.key(order.owner, order.api_key)
        else:
            contract.check_text(order.text)
            self._backend.check_text(order.text, order.settings.language)
        speak = self.calls.speak if backend == NOVITA else self._recital.whole
        for event in self._run(order.owner, lambda tell, stop: speak(order, tell, stop), backend):
            yield cast(Stage | Waiting | Spoken, event)

    def recite(self, order: SpeakOrder, *, in_turns: bool = False) -> Generator[Event, None, None]:
        """Say a text of any length that a voice may say at all, which makes the voice permanent.

        Args:
            order: what is said.
            in_turns: let others' work in between after every few sentences, and wait where the queue is full.

        Yields:
            What is going on, as clone() does, and each Passage as soon as it is spoken.

        Raises:
            TimbreError: what refuses or fails, at its field.
        """
        return self._recital.in_turns(order) if in_turns else self._recital.at_once(order)

    def check_order(self, order: SpeakOrder) -> None:
        """Raise what would refuse a recital before any work: its model, its text, its voice."""
        self._recital.check(order)

    def folder(self) -> AbstractContextManager[Path]:
        """Lend a private folder for files in passing; it goes on the way out, or after a kill at the next start."""
        return self._workspace.folder()

    def tasks(self) -> Tasks:
        """Return the speech that is asked for by its link, or for later."""
        return Tasks(self._library.database, self._library.store)

    def voices(self, owner: str) -> list[Voice]:
        """Return an owner's voices, newest first."""
        return self._library.voices(owner)

    def voice(self, voice_id: str, owner: str) -> Voice:
        """Return an owner's voice; raises VoiceError when there is none."""
        return self._library.get(voice_id, owner)

    def keep(self, voice_id: str, owner: str, api_key: str | None = None) -> Voice:
        """Make a voice permanent; a hosted one by letting it say a word there, which costs what calls.keep_cost() says.

        Raises:
            TimbreError: as speak().
        """
        voice = self._library.get(voice_id, owner)
        if voice.backend != NOVITA or voice.permanent:
            return self._library.keep(voice_id, owner)
        return cast(Spoken, list(self.speak(self.calls.keep_order(voice_id, owner, api_key)))[-1]).voice

    def describe(self, voice_id: str, owner: str, *, name: str | None = None, note: str | None = None) -> Voice:
        """Give a voice another name or note; None leaves what it has.

        Raises:
            TimbreError: a name that is empty or too long, a note that is too long, or no such voice.
        """
        words = {} if name is None else {"name": check_name(name)}
        words |= {} if note is None else {"note": check_note(note)}
        return self._library.describe(voice_id, owner, **words)

    def forget(self, voice_id: str, owner: str, undo_s: float = 0.0) -> None:
        """Delete a voice and everything that was kept of it, at once or, gone from sight at once, after ``undo_s``."""
        self._retention.forget(voice_id, owner, undo_s)

    def restore(self, voice_id: str, owner: str) -> Voice:
        """Bring back a voice that was forgotten less than its ``undo_s`` ago; see Library.restore."""
        return self._library.restore(voice_id, owner)

    def audio(self, voice_id: str, owner: str, kind: str) -> Path:
        """Return the file of a voice's ``reference`` or ``preview``.

        Raises:
            VoiceError: no such voice, or it has no such audio.
        """
        voice = self._library.get(voice_id, owner)
        return self._library.path(voice, voice.file(kind) or kind)

    def card(self, voice_id: str, owner: str) -> bytes:
        """Return a voice as one HTML file to show to others: both recordings, settings, likeness, consent.

        Raises:
            VoiceError: no such voice.
        """
        voice = self._library.get(voice_id, owner)
        names = [voice.file(kind) for kind in ("reference", "preview")]
        return card.page(voice, *(self._library.path(voice, name) if name else None for name in names))

    def compare(self, voice_id: str, owner: str) -> Comparison:
        """Hold a voice's preview against its text and its original.

        Raises:
            VoiceError: no such voice, or it has no preview.
        """
        original, preview = self.audio(voice_id, owner, "reference"), self.audio(voice_id, owner, "preview")
        voice = self._library.get(voice_id, owner)
        text = voice.settings.get("text") or ""
        told = self.language_of(text, voice.settings.get("language")).code if voice.backend == LOCAL else None
        with self._examining.place():
            return compare(self._backend, original, preview, text, told)

    def write_speech(self, spoken: Spoken | Excerpt | PromptPair, path: Path) -> None:
        """Write sound to a file: mp3 or flac when its name says so, else wav. Speech says in its tags what it is."""
        provenance = provenance_of(spoken.voice, spoken.model) if isinstance(spoken, Spoken) else None
        path.write_bytes(file_bytes(spoken.samples, spoken.sample_rate, path.suffix, provenance))

    def writing(self, path: Path, voice_id: str, owner: str, model: str) -> FileWriter:
        """Begin a file of speech that is written as it is spoken; its name says of which kind: mp3, wav or flac."""
        return FileWriter(path, SAMPLE_RATE, provenance_of(self._library.get(voice_id, owner), model))

    def _run(self, owner: str, work: Work, backend: str = LOCAL) -> Iterator[object]:
        return self.calls.run(owner, work) if backend == NOVITA else self._queue.run(owner, work)

    def _clone(self, order: CloneOrder, tell: Tell, stop: Stop) -> Cloned:
        hosted = order.backend == NOVITA
        text = None if hosted else order.options.text
        script = [] if text is None else self._backend.script(text, order.language, stop)
        step = steps(tell, 4 + len(script))
        with self._workspace.folder() as folder:
            step("Reading the recording")
            path = self._file(order.audio, folder, "audio", stop)
            prompt_path = self._file(order.prompt_audio, folder, "prompt_audio", stop) if order.prompt_audio else None
            stored = self._replay(order, path, prompt_path)
            if stored is not None:
                return stored
            recording, original = intake.chosen(path, order.stretch, stop)
            step("Checking the recording")
            report, heard, (kept, suffix) = intake.judged(self._backend, recording, original, stop)
            report.raise_if_refused()
            clip, prompt = self._prompt(order, prompt_path, stop) if prompt_path else (None, None)
            if hosted:
                prompt_clip = accepted(clip, prompt_path, stop) if clip and prompt_path else None
                clips = (
                    clip_of(order.audio if order.stretch is None else None, recording, (kept, suffix)),
                    clip_of(order.prompt_audio, clip, prompt_clip) if clip and prompt_clip else None,
                )
                voice = new_voice(order, recording, self._request_key(order, path, prompt_path))
                measure = partial(likeness_of_file, self._backend, heard, order.options)
                self._check_quota(order.owner, sum(map(len, files_of(clips).values())))
                return self.calls.clone((order, voice, measure), clips, folder, tell, stop)
            step("Learning the voice")
            heard = enhanced(heard, order.options, stop)
            profile = self._backend.learn(heard, prompt, stop)
            files = {f"reference.{suffix}": kept, "profile.npz": profile.to_bytes()}
            if clip and prompt_path:
                files[f"prompt.{clip.format}"] = prompt_path.read_bytes()
            samples = self._recital.say(profile, script, (order.options.model or "", AS_IT_IS), step, stop)
            step("Comparing the clone with the original")
            alike = likeness(self._backend, profile, samples, SAMPLE_RATE, stop) if script else None
            voice = new_voice(order, recording, self._request_key(order, path, prompt_path)).measured(alike)
            if script:
                files["preview.mp3"] = mp3_bytes(samples, SAMPLE_RATE, stop=stop, provenance=provenance_of(voice))
        stop.check()
        return Cloned(self._add(voice, files), False)

    def _prompt(self, order: CloneOrder, path: Path, stop: Stop) -> tuple[Recording, Heard]:
        recording = read(path, field="prompt_audio", stop=stop)
        contract.check_prompt_duration(recording.duration_s)
        text = contract.check_prompt_text(order.prompt_text or "")
        heard = self._backend.listen(recording.samples, recording.sample_rate)
        preflight.check_prompt(recording, text, heard.spans)
        stop.check()
        self._backend.check_prompt(heard, text, order.options.accuracy)
        return recording, heard

    def _replay(self, order: CloneOrder, path: Path, prompt_path: Path | None) -> Cloned | None:
        if not path.is_file() or (prompt_path and not prompt_path.is_file()):
            return None
        try:
            voice = self._library.find(self._request_key(order, path, prompt_path), order.owner)
        except OSError:  # reading it says what is the matter
            return None
        return None if voice is None else Cloned(voice, True)

    def _request_key(self, order: CloneOrder, path: Path, prompt_path: Path | None) -> str:
        backend = self._settings.novita_base_url if order.backend == NOVITA else self._backend.name
        return request_key(order, path, prompt_path, backend)

    def _add(self, voice: Voice, files: dict[str, bytes]) -> Voice:
        self._check_quota(voice.owner, sum(map(len, files.values())))
        return self._library.add(voice, files)

    def _check_quota(self, owner: str, n_bytes: int) -> None:
        used = self._library.used_bytes(owner) + n_bytes
        if used > MAX_OWNER_BYTES:
            raise BusyError(
                f"Your voices would take {used / 1e6:.0f} MB; at most {MAX_OWNER_BYTES / 1e6:.0f} MB are kept for you.",
                code="quota_disk",
                measured=used,
                limit=MAX_OWNER_BYTES,
                advice="Forget a voice that you no longer need.",
            )

    def _file(self, audio: Path | str, folder: Path, field: str, stop: Stop) -> Path:
        if isinstance(audio, Path):
            return audio
        own = self.calls.publisher.copy(audio, folder, field)
        private = self._settings.allow_private_urls
        return own or fetch(audio, folder, allow_private=private, max_bytes=MAX_INTAKE_BYTES, field=field, stop=stop)

    def _warm_up(self) -> None:
        try:
            self._backend.warm()
        except Exception:  # the first clone will meet it too, and say so to a person
            log.exception("The models could not be loaded")
        else:
            self._warm.set()
