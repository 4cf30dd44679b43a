"""The use cases: check, clone, speak, keep, forget. Every step of the way of a recording is strung together here.

Page, command line and API all call Studio; rules of consent, limits, quotas and retention live here or below.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from clone.audio.encoder import FileWriter
from clone.audio.preflight import Report
from clone.audio.writer import Provenance, file_bytes
from clone.contract import cloning
from clone.contract.cloning import CloneOptions
from clone.contract.markup import plain
from clone.contract.orders import LOCAL_OWNER, CloneOrder, SpeakOrder, check_asked
from clone.core.jobs import Queue, Stage, Stop, Waiting
from clone.core.settings import LOCAL, NOVITA, Settings
from clone.core.signed_urls import App
from clone.core.workspace import Workspace, make_home
from clone.engine.backend import LocalBackend
from clone.engine.converted import Hibari, Kokoro
from clone.engine.models import Models, ModelStatus
from clone.engine.transcript import Match
from clone.storage.documents import Document, Documents, DocumentSentence, SentenceTake
from clone.storage.files import Store
from clone.storage.journal import Entry
from clone.storage.retention import Retention
from clone.storage.server import Counts
from clone.storage.tasks import Tasks
from clone.storage.uploads import Uploads
from clone.storage.voice import Voice
from clone.storage.voices import Library
from clone.studio import analysis, voice_card
from clone.studio.admission import Admission
from clone.studio.analysis import Bounds, Examination, Examining, Excerpt
from clone.studio.batch import Batch, BatchDone, BatchOrder, Row
from clone.studio.cloning import Cloning
from clone.studio.documents import Authoring
from clone.studio.downloads import Downloads
from clone.studio.evaluation import OUTLINE_COLUMNS, Outline, compare, outlines
from clone.studio.exporting import Exporting, title_of
from clone.studio.getting import Getting, backend_of, judged, models_of
from clone.studio.hosted import Calls
from clone.studio.portable import Imported, Portable
from clone.studio.prompts import PromptPair, Prompts, Transcript
from clone.studio.results import Cloned, Passage, Spoken, provenance_of
from clone.studio.snippets import RequestCode
from clone.studio.synthesis import Event, Synthesis
from clone.studio.texts import Speaker, TextFile, read_text

__all__ = [
    "OUTLINE_COLUMNS",
    "BatchDone",
    "BatchOrder",
    "CloneOrder",
    "Cloned",
    "Document",
    "DocumentSentence",
    "Examination",
    "Excerpt",
    "FileWriter",
    "Imported",
    "Match",
    "ModelStatus",
    "Outline",
    "Passage",
    "PromptPair",
    "RequestCode",
    "Row",
    "SentenceTake",
    "SpeakOrder",
    "Speaker",
    "Spoken",
    "Stage",
    "Studio",
    "TextFile",
    "Voice",
    "Waiting",
]

log = logging.getLogger(__name__)


class Studio:
    """One per process; thread-safe. Call start() once, close() at the end."""

    def __init__(self, settings: Settings, backend: LocalBackend | None = None, models: Models | None = None) -> None:
        make_home(settings.home)
        self._settings = settings
        store = Store(settings.store_url, settings.home / "copies")
        self._library = Library(settings, store)
        self.describe, self.tag = self._library.describe, self._library.tag
        models = models or models_of(settings, lambda model: judged(self._backend, model))
        self._backend = backend or backend_of(settings, models)
        # Elsewhere several speak at once, and a worker here only waits for them.
        self._queue = Queue(rest=self._rest, n_workers=settings.engine_jobs if settings.engine else 1)
        self._getting = Getting(models, elsewhere=bool(settings.engine))
        self._warm = threading.Event()
        self._workspace = Workspace(settings.home / "work")
        self._examining = Examining(self._backend)
        self._prompts = Prompts(self._backend, self._examining)
        self._calls = Calls(settings, store, self._library, self._workspace)
        self._run = Admission(self._library, self._queue, self._calls).run
        self._downloads = Downloads(self._calls.publisher.copy, settings.allow_private_urls)
        self._documents = Documents(self._library.database, store)
        self.uploads = Uploads(self._workspace)
        purge_documents = partial(self.led, "documents", self._documents.purge)
        self._retention = Retention(self._library, self._calls.sweep, purge_documents, self.uploads.purge)
        self._synthesis = Synthesis(self._backend, self._library, self._run)
        looks = self._examining, self._prompts
        self._cloning = Cloning(self._backend, self._library, looks, self._synthesis, self._calls)
        self.language_of, self.title_of = self._backend.language_of, title_of
        self.draft_code = self._calls.draft_code
        parts = self._backend, self._library, self._documents, self._synthesis
        authoring = Authoring(*parts, run=self._run, hosted=self.speak)
        self.say, self.documents, self.document = authoring.say, authoring.documents, authoring.document
        self.begin_document, self.edit_document = authoring.begin_document, authoring.edit_document
        self.speak_document, self.stop_document = authoring.speak_document, authoring.stop_document
        self.forget_document, self.is_speaking = authoring.forget_document, authoring.is_speaking
        self.sentences, self.sentence_audio = authoring.sentences, authoring.sentence_audio
        self.speak_sentence, self.edit_sentence = authoring.speak_sentence, authoring.edit_sentence
        self.export_document = self.write_document = Exporting(self._library, self._documents).export
        portable = Portable(self._backend, self._library, self._cloning, self._workspace, self._run)
        self.export_voices, self.import_voices = portable.export_voices, portable.import_voices
        self.batch = Batch(self._library, self._synthesis, self._workspace).run
        self.choose_take, self.dialogue, self.read_text = authoring.choose_take, authoring.dialogue, read_text

    @property
    def ready(self) -> bool:
        """Whether every model is loaded and warm, and work is taken."""
        return self._warm.is_set() and not self._queue.closed

    def start(self, *, warm: bool = True) -> None:
        """Tidy up after what was killed, enforce retention from now on, and warm the models, all beside the caller.

        ``warm`` loads the models ahead of the first job; a command line may need none.
        """
        self._workspace.sweep()
        self._library.reconcile()
        self._library.purge()
        self._documents.sweep()
        self._calls.resume()
        self._retention.start()
        if warm:
            threading.Thread(target=self._warm_up, name="timbre-warm", daemon=True).start()

    def drain(self) -> None:
        """Take no more work; end what goes on, but wait a while for the answers of what was sent and costs money."""
        self._downloads.close()
        self._getting.close()
        self._queue.close()
        self._calls.close()

    def close(self) -> None:
        """Drain, stop the purge, delete what could still be brought back, give back what is lent and the library."""
        self.drain()
        self._retention.close()
        self._calls.publisher.close()
        self._workspace.close()
        self._library.close()
        self._backend.close()

    def download(self, url: str, folder: Path, owner: str, stop: Stop | None = None) -> Path:
        """Get a recording into a folder; see Downloads.path."""
        return self._downloads.path(owner, url, folder, stop)

    def check(self, audio: Path | str) -> Report:
        """Say whether a recording can be cloned, why not, and what would make it better; raises as examine()."""
        return list(self.examine(audio))[-1].report

    def examine(
        self, audio: Path | str, *, owner: str = LOCAL_OWNER, stop: Stop | None = None
    ) -> Iterator[Examination]:
        """Look at a recording: report, picture and best segment, as they come; see Examining.examine.

        Args:
            audio: the recording; what a link leads to is downloaded first.
            owner: who asks.
            stop: obeyed while it is downloaded and read.
        """
        with self._workspace.folder() as folder:
            yield from self._examining.examine(self._downloads.path(owner, audio, folder, stop), stop)

    def hear(self, audio: Path, bounds: Bounds | None, *, noise: bool = False, volume: bool = False) -> Excerpt:
        """Return a part of a recording as it would be learned from; see Examining.hear."""
        return self._examining.hear(audio, bounds, noise, volume)

    def prompt_pair(self, audio: Path, bounds: Bounds | None = None) -> PromptPair:
        """Cut a clean sentence out of a recording and write down what is said; see Prompts.pair."""
        return self._prompts.pair(audio, bounds)

    def match(self, prompt_audio: Path, text: str | None) -> Match:
        """Compare a prompt clip with its transcript, or write one; see Prompts.match."""
        return self._prompts.match(prompt_audio, text)

    def transcribe(self, audio: Path, language: str | None = None) -> Transcript:
        """Write down what is said in a recording; see Prompts.transcript."""
        return self._prompts.transcript(audio, language)

    def check_said(self, audio: Path, text: str, accuracy: float) -> None:
        """Refuse a recording that does not say a text; see Prompts.check_said."""
        self._prompts.check_said(audio, text, accuracy)

    def check_prompt(self, prompt_audio: Path, text: str, accuracy: float) -> None:
        """Refuse at once a transcript that is known not to match its clip; see Prompts.check_known."""
        self._prompts.check_known(prompt_audio, text, accuracy)

    def clone(self, order: CloneOrder) -> Iterator[Stage | Waiting | Cloned]:
        """Clone a voice; with a text and a model, speak its preview.

        Yields:
            What is going on, at least every quarter of a second; the last item is the Cloned.
            Closing the iterator cancels within a second.

        Raises:
            TimbreError: what refuses or fails, at its field.
        """
        check_asked(order)
        given = {"audio": order.audio} | ({"prompt_audio": order.prompt_audio} if order.prompt_audio else {})
        paths = {name: path for name, path in given.items() if isinstance(path, Path)}
        key = self._cloning.key(order, paths) if paths.keys() == given.keys() else None
        if stored := self._cloning.again(order, key):
            yield stored
            return
        language = order.language
        if order.backend == NOVITA:
            self._calls.check(order)
        elif order.options.text is not None:
            language = self._backend.check_text(order.options.text, language)
        if isinstance(order.prompt_audio, Path):
            self.check_prompt(order.prompt_audio, order.prompt_text or "", order.options.accuracy)
        with self._workspace.folder() as folder:
            files = yield from self._downloads.run(order.owner, given, folder)
            work = self._run(
                order.owner, partial(self._cloning.run, order, files, key, language=language), order.backend
            )
            yield from cast(Iterator[Stage | Waiting | Cloned], work)

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
        if order.backend == NOVITA and not analysis.is_by_links(order):
            self._calls.publisher.check()
        elif order.backend == LOCAL and order.options.text is not None:
            self._backend.check_text(order.options.text, order.language)
        with self._workspace.folder() as folder:
            if order.segment is not None:
                order = replace(order, audio=self._downloads.path(order.owner, order.audio, folder))
            with self._examining.place():
                clips = analysis.clips(self._examining, order)
        return self._calls.request_code(order, clips, served_at or f"http://127.0.0.1:{self._settings.server_port}")

    def speak(self, order: SpeakOrder) -> Iterator[Stage | Waiting | Spoken]:
        """Say a text with a voice, which makes the voice permanent.

        Yields and raises as clone() does; the last item is the Spoken.
        """
        cloning.check_model(order.model)
        backend = self._library.get(order.voice_id, order.owner).backend
        if backend == NOVITA:
            cloning.check_text(order.text, cloning.SPEECH_TASK_MAX_CHARS)
            self._calls.key(order.owner, order.api_key)
        else:
            language = self._synthesis.check(order, cloning.TEXT_MAX_CHARS)
            order = replace(order, settings=replace(order.settings, language=language))
        speak = self._calls.speak if backend == NOVITA else self._synthesis.speak_all
        work = self._run(order.owner, lambda tell, stop: speak(order, tell, stop), backend)
        yield from cast(Iterator[Stage | Waiting | Spoken], work)

    def speak_long(self, order: SpeakOrder, *, in_turns: bool = False) -> Generator[Event, None, None]:
        """Say a text of any length that a voice may say at all, which makes the voice permanent.

        Args:
            order: what is said.
            in_turns: let others' work in between after every few sentences, and wait where the queue is full.

        Yields:
            What is going on, as clone() does, and each Passage as soon as it is spoken.

        Raises as clone() does.
        """
        return self._synthesis.speak_long(order, in_turns=in_turns)

    def check_order(self, order: SpeakOrder) -> None:
        """Raise what would refuse a long text before any work: its model, its text, its voice."""
        self._synthesis.check(order)

    def folder(self) -> AbstractContextManager[Path]:
        """Lend a private folder for files in passing; see Workspace.folder."""
        return self._workspace.folder()

    def led(self, what: str, work: Callable[[], object]) -> None:
        """Do work for all hosts that share the library, unless another does it just now."""
        self._library.led(what, work)

    def counts(self) -> Counts:
        """Return what counts the calls of all hosts that share the library."""
        return Counts(self._library.database)

    def tasks(self) -> Tasks:
        """Return the speech that is asked for by its link, or for later."""
        return Tasks(self._library.database, self._library.store)

    def voices(self, owner: str | None) -> list[Voice]:
        """Return an owner's voices, newest first; for None, everybody's."""
        return self._library.voices(owner)

    def voice(self, voice_id: str, owner: str) -> Voice:
        """Return an owner's voice; raises VoiceError when there is none."""
        return self._library.get(voice_id, owner)

    def find(self, word: str, owner: str) -> Voice:
        """Return an owner's voice by its id, or else its name; raises VoiceError when there is none."""
        return self._library.find(word, owner)

    def keep(self, voice_id: str, owner: str, api_key: str | None = None) -> Voice:
        """Make a voice permanent; a hosted one by letting it say a word there, which costs what calls.keep_cost() says.

        Raises as speak() does.
        """
        return cast(Voice, [*self.keeping(voice_id, owner, api_key)][-1])

    def keeping(self, voice_id: str, owner: str, api_key: str | None = None) -> Iterator[Stage | Waiting | Voice]:
        """Do what keep() does; yields and raises as speak(), the last item is the Voice."""
        voice = self._library.get(voice_id, owner)
        if voice.backend != NOVITA or voice.permanent:
            yield self._library.keep(voice_id, owner)
        else:
            self._calls.key(owner, api_key)
            work = self._run(owner, partial(self._calls.keep, voice_id, owner, api_key), NOVITA)
            yield from cast(Iterator[Stage | Waiting | Voice], work)

    def forget(self, voice_id: str, owner: str, undo_s: float = 0.0) -> None:
        """Delete a voice and everything that was kept of it, at once or, gone from sight at once, after ``undo_s``."""
        self._retention.forget(voice_id, owner, undo_s)
        self._documents.purge()

    def forget_all(self, owner: str) -> int:
        """Delete everything that is kept of an owner, voices and speech; return how many voices."""
        n_gone = self._library.forget_all(owner)
        self.tasks().forget(owner)
        self.uploads.forget(owner)
        self._documents.purge()
        return n_gone

    def models(self) -> list[ModelStatus]:
        """Return the engines that can be got, and which of them are here."""
        return self._getting.models()

    def engines(self) -> list[ModelStatus]:
        """Return every engine: those that came along with Timbre, and those that can be got."""
        return [*self._getting.models(), Kokoro.status(), Hibari.status()]

    def speaking(self) -> dict[str, str]:
        """Return what would speak English here, by tier of the models, as a person is told."""
        return {cloning.tier(model): self._backend.engine(model, "en").title for model in cloning.MODELS}

    def get_model(self, name: str, stop: Stop | None = None) -> Iterator[Stage | Waiting | ModelStatus]:
        """Get an engine, beside everybody's work, and have it compared with what it would replace.

        Whoever asks has accepted its terms.

        Args:
            name: which one.
            stop: obeyed as closing the iterator is.

        Yields:
            What is going on, as clone() does; the last item is what is here then. Closing the iterator cancels, and
            what has come so far is gone on with next time.

        Raises:
            TimbreError: why it can't be got.
        """
        return self._getting.run(name, stop)

    def check_library(self, within_s: float) -> None:
        """Raise LibraryError unless the library can be had within a time, to be changed."""
        self._library.check(within_s)

    @property
    def lent(self) -> App:
        """Where recordings are lent to the hosted service; for whoever serves this app."""
        return self._calls.publisher.route

    def way_to_lend(self, *, is_url: bool) -> str:
        """Say how the hosted service gets a recording from here; see Publisher.way."""
        return self._calls.publisher.way(is_url=is_url)

    @property
    def awaits_paid_answer(self) -> bool:
        """Whether the answer to something that costs money is waited for."""
        return self._calls.busy

    def clone_cost(self, options: CloneOptions) -> str:
        """Say what the hosted service may charge for a clone."""
        return self._calls.clone_cost(options)

    def speech_cost(self, text: str, model: str) -> str:
        """Say what the hosted service may charge for a text."""
        return self._calls.speech_cost(text, model)

    def keep_cost(self) -> str:
        """Say what the hosted service may charge for keeping a voice."""
        return self._calls.keep_cost()

    def unsettled(self, owner: str) -> list[Entry]:
        """Return what an owner may have paid for without getting it, newest first."""
        return self._calls.settlement.left(owner)

    def settle(self, entry_id: str, owner: str, voice_id: str = "") -> Voice:
        """Keep what went through after all; see Settlement.keep_left."""
        return self._calls.settlement.keep_left(entry_id, owner, voice_id)

    def dismiss(self, entry_id: str, owner: str) -> None:
        """Forget what did not go through, so that it may be asked for again; see Settlement.dismiss."""
        self._calls.settlement.dismiss(entry_id, owner)

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
        return voice_card.page(voice, *(self._library.path(voice, name) if name else None for name in names))

    def outlines(self, *paths: Path) -> list[Outline]:
        """Return files as players draw them, at one loudness; raises AudioError."""
        return outlines(*paths)

    def compare(self, voice_id: str, owner: str) -> Match:
        """Hold a voice's preview against its text; raises VoiceError: no such voice, or it has no preview."""
        preview = self.audio(voice_id, owner, "preview")
        voice = self._library.get(voice_id, owner)
        text = plain(voice.settings.get("text") or "")
        spoken_in = self.language_of(text, voice.settings.get("language")).code if voice.backend == LOCAL else None
        with self._examining.place():
            return compare(self._backend, preview, text, spoken_in)

    def write_speech(self, spoken: Spoken | Excerpt | PromptPair, path: Path) -> None:
        """Write sound to a file: mp3 or flac when its name says so, else wav. Speech says in its tags what it is."""
        provenance = provenance_of(spoken.voice, spoken.model, spoken.engine) if isinstance(spoken, Spoken) else None
        path.write_bytes(file_bytes(spoken.samples, spoken.sample_rate, path.suffix, provenance))

    def provenance(self, order: SpeakOrder) -> Provenance:
        """Return what speech of an order says of itself; raises VoiceError."""
        engine = self._synthesis.engine(order)
        return provenance_of(self._library.get(order.voice_id, order.owner), order.model, engine)

    def writing(self, path: Path, provenance: Provenance) -> FileWriter:
        """Begin a file of speech that is written as it is spoken; its name says of which kind: mp3, wav or flac."""
        return FileWriter(path, provenance)

    def _rest(self) -> None:
        self._examining.forget()
        self._backend.rest()

    def _warm_up(self) -> None:
        try:
            self._examining.warm()
            self._backend.warm()
        except Exception:  # the first clone will meet it too, and say so to a person
            log.exception("The models could not be loaded")
        else:
            self._warm.set()
