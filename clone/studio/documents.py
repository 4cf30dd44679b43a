"""Documents: a text said and kept by sentence, gone on with, edited, spoken in other takes, joined while it is said.

A document that is being spoken is so once in a process, for everybody who follows: after a reload one joins what is
under way, hears what was said so far, and then what comes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import cast

import numpy as np

from clone.contract.orders import Speakers, SpeakOrder
from clone.core.errors import CancelledError, TaskError, VoiceError
from clone.core.jobs import Stage, Stop, Tell, Work
from clone.core.settings import LOCAL, NOVITA
from clone.engine.backend import SAMPLE_RATE, LocalBackend
from clone.engine.g2p import text as reading
from clone.engine.g2p.languages import unreadable
from clone.engine.profile import ENGINE_VERSION, Profile
from clone.storage.documents import Document, Documents, DocumentSentence
from clone.storage.voice import check_name, one_line
from clone.storage.voices import Library
from clone.studio.results import Passage, Spoken
from clone.studio.synthesis import LINES_A_REST, Delivery, Event, Synthesis
from clone.studio.texts import Speaker, script, speakers_in

FOLLOWED_S = 60.0
"""How long a document is spoken on while nobody follows: as long as a reload may take, and a lost connection."""
ENDS_WITHIN_S = 5.0

Speak = Callable[[SpeakOrder], Iterator[object]]


class Authoring:
    """Makes documents, and changes them; thread-safe.

    Args:
        backend: speaks.
        library: has the voices, and keeps them.
        documents: keep what was said.
        synthesis: says a sentence.
        run: does a piece of work in turn, for an owner.
        hosted: says a text with a voice of the hosted service.
    """

    def __init__(
        self,
        backend: LocalBackend,
        library: Library,
        documents: Documents,
        synthesis: Synthesis,
        *,
        run: Callable[[str, Work], Iterator[object]],
        hosted: Speak,
    ) -> None:
        self._backend = backend
        self._library = library
        self._documents = documents
        self._synthesis = synthesis
        self._run = run
        self._hosted = hosted
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}

    # what there is

    def documents(self, owner: str) -> list[Document]:
        """Return what was said for an owner, or has a name: last worked on first."""
        return self._documents.of(owner)

    def document(self, document_id: str, owner: str) -> Document:
        """Return an owner's document; raises TaskError when there is none."""
        return self._documents.get(document_id, owner)

    def sentences(self, document_id: str, owner: str) -> list[DocumentSentence]:
        """Return a document's sentences in order, each with its takes; raises as document()."""
        return self._documents.sentences(self._documents.get(document_id, owner))

    def sentence_audio(self, document_id: str, owner: str, sentence_id: int, take: int | None = None) -> Path:
        """Return the flac of a sentence's take, of the chosen one by default; not to be changed, nor kept.

        Raises:
            TaskError: no such document or sentence, or it has no such sound.
        """
        document = self._documents.get(document_id, owner)
        return self._documents.path(document, self._documents.sentence(document, sentence_id), take)

    def is_speaking(self, document_id: str, owner: str) -> bool:
        """Whether an owner's document is being spoken in this process, to be joined by speak_document()."""
        run = self._runs.get(document_id)
        return run is not None and run.owner == owner and not run.stopping and not run.over.is_set()

    # what is changed

    def begin_document(self, order: SpeakOrder, name: str = "") -> Document:
        """Make a document of an order, to be spoken by speak_document(); one that was left unfinished is gone on with.

        Raises:
            TimbreError: what would refuse the text or the voice.
        """
        name = check_name(name) if name else ""
        return self._documents.begin(order, ENGINE_VERSION, self._script(order), name)

    def edit_sentence(self, document_id: str, owner: str, sentence_id: int, text: str) -> Document:
        """Change what a sentence says; it is spoken when the document is. An empty text takes the sentence away.

        Raises:
            TaskError: no such document or sentence.
            TextError: the whole would be too long, or nothing would be left to say.
        """
        document = self._own(document_id, owner)
        return self._documents.edit(document, sentence_id, " ".join(one_line(text).split()))

    def edit_document(
        self,
        document_id: str,
        owner: str,
        *,
        text: str | None = None,
        name: str | None = None,
        speakers: Speakers | None = None,
    ) -> Document:
        """Give a document another text, name or cast; None leaves what it has.

        Sentences that are in both texts keep their takes, so that only what was changed is spoken.

        Args:
            document_id: which.
            owner: whose.
            text: all of it.
            name: what it is called.
            speakers: names in the text that are spoken by other voices of the owner, as dialogue() finds them.

        Raises:
            TimbreError: no such document; what would refuse the text, the name or a voice.
        """
        document = self._documents.get(document_id, owner)
        if name is not None:
            document = self._documents.rename(document, check_name(name))
        if text is not None or speakers is not None:
            document = self._own(document_id, owner)
            there = {voice.voice_id for voice in self._library.voices(owner)}
            cast_before = tuple(each for each in document.speakers if each[1] in there)
            order = replace(
                _order(document),
                text=document.text if text is None else text,
                speakers=cast_before if speakers is None else speakers,
            )
            document = self._documents.rewrite(document, order.text, self._script(order), order.speakers)
        return document

    def choose_take(self, document_id: str, owner: str, sentence_id: int, take: int) -> Document:
        """Choose which take of a sentence is heard; what that one says is what the sentence says then.

        Raises:
            TaskError: no such document, sentence or take.
        """
        return self._documents.choose(self._documents.get(document_id, owner), sentence_id, take)

    def forget_document(self, document_id: str, owner: str) -> None:
        """Delete a document and all its sound; what speaks it ends. Raises as document()."""
        self._documents.forget(document_id, owner)
        self.stop_document(document_id, owner)

    def dialogue(self, text: str, owner: str) -> list[Speaker]:
        """Return whose lines a text seems to have: those that begin with the name of a voice of the owner and a colon.

        Voices of the hosted service, and names that several voices have, are left out.
        """
        return speakers_in(text, [voice for voice in self._library.voices(owner) if voice.backend == LOCAL])

    def _script(self, order: SpeakOrder) -> list[DocumentSentence]:
        for _, voice_id in order.speakers:
            self._synthesis.check(replace(order, voice_id=voice_id))
        return script(order, self._synthesis.check(order))

    # what is spoken

    def say(self, order: SpeakOrder) -> Generator[Event | Document, None, None]:
        """Say a text and keep it by sentence, with a voice of this machine or of the hosted service.

        The same request, left unfinished, is gone on with. Closing this ends it, unless others follow. Raises as
        speak_long() and speak() do.

        Yields:
            What is going on, each Passage as soon as it is there, and the Document: of this machine's voices first of
            all, and last as it is then.
        """
        if self._library.get(order.voice_id, order.owner).backend != NOVITA:
            document = self.begin_document(order)
            yield document
            yield from self._followed(document, 0.0)
            return
        for event in self._hosted(order):
            if not isinstance(event, Spoken):
                yield cast(Event, event)
                continue
            yield Passage(event.samples, event.sample_rate)
            sentence = DocumentSentence(order.text)
            document = self._documents.begin(order, NOVITA, [sentence])
            self._documents.add(document, replace(sentence, sentence_id=0), event.samples, event.sample_rate)
            yield self._documents.get(document.document_id, order.owner)

    def speak_document(self, document_id: str, owner: str) -> Generator[Event | Document, None, None]:
        """Speak what is still to be spoken of a document, and hand over all of it; join where that is under way.

        It goes on for a minute after everybody who followed has left. stop_document() ends it; what was spoken is kept.

        Yields:
            The Document, then in the order of the text what was spoken and what is being spoken, each as a Passage with
            the number of its sentence, and what is going on; last the Document as it is then.

        Raises:
            TimbreError: no such document; what refuses or fails.
        """
        document = self._own(document_id, owner)
        yield document
        yield from self._followed(document, FOLLOWED_S)

    def stop_document(self, document_id: str, owner: str) -> None:
        """End the speaking of a document, whoever follows; where nothing is spoken, nothing happens."""
        run = self._runs.get(document_id)
        if run is not None and run.owner == owner:
            run.stop()

    def speak_sentence(self, document_id: str, owner: str, sentence_id: int) -> Iterator[Event | DocumentSentence]:
        """Speak a sentence: as it was edited, or in another take; the last three are kept, and the new one is chosen.

        An engine that has one way alone to say a sentence says it in another tempo. Closing the iterator cancels.

        Yields:
            What is going on, the Passage, and last the Sentence.

        Raises:
            TimbreError: no such document or sentence; what refuses or fails.
        """
        document = self._own(document_id, owner)
        self._documents.make_room(owner, document_id)
        sentence = self._documents.sentence(document, sentence_id)
        if not any(c.isalnum() for c in sentence.text):
            raise unreadable(self._synthesis.check(_order(document)))
        for event in self._run(owner, partial(self._speak, document, [sentence], anew=True)):
            if event is not None:
                yield cast(Event, event)
        yield self._documents.sentence(document, sentence_id)

    def _own(self, document_id: str, owner: str) -> Document:
        """Return a document whose sentences this machine speaks."""
        document = self._documents.get(document_id, owner)
        if self._library.get(document.voice_id, owner).backend == NOVITA:
            raise VoiceError(
                "The hosted service said this text as a whole; it can't be changed by sentence.",
                code="other_backend",
                field="voice_id",
                advice="Say the changed text anew.",
            )
        return document

    def _followed(self, document: Document, followed_s: float) -> Iterator[Event | Document]:
        """Yield all of a document: what was said of it, then what is being said."""
        run, news = self._joined(document)
        try:
            before = news.get()
            assert isinstance(before, list)
            for sentence in self._documents.sentences(document):
                sound = self._documents.sound(document, sentence) if sentence.sentence_id in before else None
                if sound is not None:
                    yield Passage(*sound, sentence_id=sentence.sentence_id)
            while (event := news.get()) is not None:
                yield cast(Event, event)
        finally:
            run.leave(news, followed_s)
        if run.error is not None:
            raise run.error
        now = self._documents.get(document.document_id, document.owner)
        if now.complete and not now.n_bytes:  # nothing in it could be read
            self._documents.forget(document.document_id, document.owner)
            raise unreadable(self._synthesis.check(_order(document)))
        yield now

    def _joined(self, document: Document) -> tuple[_Run, SimpleQueue[object]]:
        """Return the run of a document, begun if it is not under way, and what is told of it."""
        while True:
            with self._lock:
                self._runs = {key: each for key, each in self._runs.items() if not each.over.is_set()}
                run = self._runs.get(document.document_id)
                begun = run is not None
                if run is None:
                    run = self._runs[document.document_id] = self._begun(document)
                news = run.join()
                if not begun:  # only now, so that nothing is told before somebody follows
                    run.begin()
                if news is not None:
                    return run, news
            run.over.wait(ENDS_WITHIN_S)  # it is about to end

    def _begun(self, document: Document) -> _Run:
        self._documents.make_room(document.owner, document.document_id)
        all_sentences = self._documents.sentences(document)
        first = next((each.position for each in all_sentences if each.to_speak(document)), len(all_sentences))
        left, ids = all_sentences[first:], [each.sentence_id for each in all_sentences]
        speak = partial(self._speak, document, left, early=first == 0)
        events = self._run(document.owner, speak) if left else iter(())
        return _Run(document.owner, ids, first, events)

    def _speak(
        self,
        document: Document,
        some: list[DocumentSentence],
        tell: Tell,
        stop: Stop,
        *,
        anew: bool = False,
        early: bool = False,
    ) -> None:
        """Say what is to be said of some sentences, or all of them ``anew``, and keep it; hand over the rest as it is.

        A sentence is said as it is written when its turn comes.
        """
        language, total = self._synthesis.check(_order(document)), document.n_sentences
        profiles: dict[str, Profile] = {}
        tell(Stage("Recalling the voice", some[0].position, total))
        for n_before, each in enumerate(some):
            try:
                sentence = self._documents.sentence(document, each.sentence_id)
            except TaskError:  # an edit took it away
                continue
            chosen = sentence.chosen
            if chosen and not anew and not sentence.to_speak(document):
                sound = self._documents.sound(document, sentence)
                if sound is not None:
                    tell(Passage(*sound, sentence_id=sentence.sentence_id))
                if sound is not None or not chosen.n_bytes:
                    continue
            tell(Stage(_stage(sentence.position, total), sentence.position, total, even=True))
            voice = self._library.get(sentence.voice_id or document.voice_id, document.owner)
            if voice.voice_id not in profiles:
                profiles[voice.voice_id] = self._synthesis.profile(voice, stop)
            take = _variant(sentence, voice.voice_id)
            delivery = Delivery(profiles[voice.voice_id], document.model, document.settings, language, take)
            self._say(document, sentence, delivery, tell, stop, early=early and n_before == 0)
            if (n_before + 1) % LINES_A_REST == 0:
                self._backend.rest()

    def _say(
        self, document: Document, sentence: DocumentSentence, delivery: Delivery, tell: Tell, stop: Stop, *, early: bool
    ) -> None:
        """Say one sentence of a document, which an edit may have made several of, and keep it as one."""
        parts, voice_id = reading.sentences(sentence.text, delivery.language), sentence.voice_id or document.voice_id
        said: list[np.ndarray] = []

        def hand_over(samples: np.ndarray, silence_s: float = 0.0) -> None:
            if len(samples):  # whoever hears the first word has used the voice
                self._library.keep(voice_id, document.owner)
                tell(Passage(samples, SAMPLE_RATE, silence_s=silence_s, sentence_id=sentence.sentence_id))

        def keep(samples: np.ndarray) -> None:
            said.append(samples)
            if len(said) == len(parts):
                self._documents.add(document, sentence, np.concatenate(said), SAMPLE_RATE, delivery.take)

        for i, part in enumerate(parts, 1):
            whole = replace(part, pause_s=sentence.pause_s) if i == len(parts) else part
            self._synthesis.utter(whole, delivery, stop, hand_over, keep=keep, early=early and not delivery.take)


class _Run:
    """One document being spoken, for everybody who follows.

    Args:
        owner: whose it is.
        ids: of all sentences, in order.
        first: how many of them need not be spoken.
        events: what is going on, as it is told.
    """

    def __init__(self, owner: str, ids: list[int], first: int, events: Iterator[object]) -> None:
        self.owner = owner
        self.over = threading.Event()
        self.error: BaseException | None = None
        self.stopping = False
        self._lock = threading.Lock()
        self._ids = ids
        self._n_before = first
        self._parts: list[Passage] = []
        self._followers: list[SimpleQueue[object]] = []
        self._until_s = math.inf
        self._thread = threading.Thread(target=self._work, args=(events,), name="timbre-document", daemon=True)

    def begin(self) -> None:
        """Start speaking."""
        self._thread.start()

    def join(self) -> SimpleQueue[object] | None:
        """Return where all is told from now on, None last; first the numbers of the sentences that are there.

        None where it is about to end.
        """
        news: SimpleQueue[object] = SimpleQueue()
        with self._lock:
            if self.stopping:
                return None
            news.put(self._ids[: self._n_before])
            for part in self._parts:
                news.put(part)
            if self.over.is_set():
                news.put(None)
            self._followers.append(news)
            self._until_s = math.inf
        return news

    def leave(self, news: SimpleQueue[object], followed_s: float) -> None:
        """Follow no more; without any other follower it ends after a time. At once, it has ended after this."""
        with self._lock:
            self._followers.remove(news)
            if not self._followers:
                self._until_s = time.monotonic() + followed_s
                self.stopping = self.stopping or followed_s <= 0
            ends = self.stopping
        if ends:
            self.over.wait(ENDS_WITHIN_S)

    def stop(self) -> None:
        """End it, whoever follows."""
        with self._lock:
            self.stopping = True

    def _work(self, events: Iterator[object]) -> None:
        try:
            for event in events:
                if event is not None:
                    self._tell(event)
                if self._ends():
                    break
        except CancelledError:
            pass
        except BaseException as e:  # noqa: BLE001  whatever it is belongs to those who follow
            self.error = e
        finally:
            if isinstance(events, Generator):
                events.close()
            with self._lock:
                self._n_before, self._parts = len(self._ids), []
                self.over.set()
                for news in self._followers:
                    news.put(None)

    def _tell(self, event: object) -> None:
        with self._lock:
            if isinstance(event, Passage) and event.sentence_id is not None:
                if not self._parts or self._parts[0].sentence_id != event.sentence_id:
                    self._n_before, self._parts = self._ids.index(event.sentence_id), []
                self._parts.append(event)
            for news in self._followers:
                news.put(event)

    def _ends(self) -> bool:
        with self._lock:
            self.stopping = self.stopping or time.monotonic() > self._until_s
            return self.stopping


def _order(document: Document) -> SpeakOrder:
    return SpeakOrder(
        document.owner,
        document.voice_id,
        document.text,
        document.model,
        document.settings,
        speakers=document.speakers,
    )


def _stage(position: int, total: int) -> str:
    return f"Speaking sentence {position + 1} of {total}" if total > 1 else "Speaking"


def _variant(sentence: DocumentSentence, voice_id: str) -> int:
    """Return which way to say a sentence none of its takes has."""
    tried = [each.variant for each in sentence.takes if (each.text, each.voice_id) == (sentence.text, voice_id)]
    return max(tried, default=-1) + 1
