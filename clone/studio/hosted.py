"""Jobs of the hosted service: their queue, what they cost, and what of them is kept in the library."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clone.audio.tags import marked
from clone.contract.cloning import CloneOptions
from clone.contract.orders import CloneOrder, SpeakOrder
from clone.core.errors import BusyError, CancelledError, MaybeDone, TimbreError, VoiceError
from clone.core.jobs import Queue, Stage, Stop, Tell, Work
from clone.core.likeness import Likeness
from clone.core.settings import NOVITA, Settings
from clone.core.workspace import Workspace
from clone.hosted.backend import PREVIEW, Clip, Hosted, clone_request
from clone.hosted.client import CLONE_PATH, clone_body
from clone.hosted.lending import Link, Publisher
from clone.hosted.pricing import KEEP_BILL, KEEP_MODEL, KEEP_TEXT, Bill, clone_bill, estimate
from clone.storage.files import Store
from clone.storage.journal import ANSWERED, CLONE, KEEP, KEPT, SENT, SPEECH, Entry, Journal, sent_before
from clone.storage.voice import Voice, sayable
from clone.storage.voices import Library, utc_now
from clone.studio.results import Cloned, Spoken, provenance_of, replayed
from clone.studio.snippets import HOSTED_KEY, OWN_KEY, Request, RequestCode, clone_code

log = logging.getLogger(__name__)

MAX_CALLS = 4
"""Jobs at a time: they wait for the service and take no core of this machine."""

ANSWERS_COME_WITHIN_S = 15.0
"""How long the end of the app is put off by requests that were sent and cost money."""

NO_PREVIEW = "The voice is made, but the service sent no preview, though a text and a model were sent."

N_STEPS = 4
"""Of a hosted clone: reading, checking, cloning, keeping."""


@dataclass(frozen=True)
class Asked:
    """A hosted clone that is ready to be asked for.

    Attributes:
        order: who asks for what.
        voice: as it is to be kept, still without the id it will get.
        clips: the reference, and the prompt clip if there is one.
        measure: tells of the file of a preview how alike that is to the original; it raises nothing.
    """

    order: CloneOrder
    voice: Voice
    clips: tuple[Clip, Clip | None]
    measure: Callable[[Path], Likeness | None]


class Calls:
    """What Studio asks of the hosted service; thread-safe.

    Args:
        settings: the service's address, keys, and this app's own address.
        store: lends recordings out, where it can.
        library: keeps the voices.
        workspace: lends folders.
    """

    def __init__(self, settings: Settings, store: Store, library: Library, workspace: Workspace) -> None:
        self.publisher = Publisher(settings, store)
        self.hosted = Hosted(settings, self.publisher)
        self.base_url = settings.novita_base_url
        self._own_url = settings.public_url
        self._library = library
        self._workspace = workspace
        self._journal = Journal(settings.home, library.database, store, utc_now)
        self._queue = Queue(n_workers=MAX_CALLS)

    def run(self, owner: str, work: Work) -> Iterator[object]:
        """Do a job in turn, beside the jobs of this machine's engine."""
        return self._queue.run(owner, work)

    def clone_cost(self, options: CloneOptions) -> str:
        """Say what the service may charge for a clone."""
        return estimate(clone_bill(options), self.base_url)

    def speech_cost(self, text: str, model: str) -> str:
        """Say what the service may charge for a text."""
        return estimate(Bill(0, len(text), model), self.base_url)

    def keep_cost(self) -> str:
        """Say what the service may charge for keeping a voice."""
        return estimate(KEEP_BILL, self.base_url)

    def resume(self) -> None:
        """Keep the voices that were answered before a kill, and fetch their previews beside the caller; for the start.

        What was lent is taken back. What was sent without an answer is left to its owner; see ``left``.
        """
        self.publisher.sweep()
        self._journal.sweep(leftovers=True)
        unfinished = self._journal.unfinished()
        for entry in unfinished:
            _tried(partial(self._take_up, entry.entry_id, fetch=False))
        if unfinished:
            fetching = partial(self._fetch_previews, [entry.entry_id for entry in unfinished])
            threading.Thread(target=fetching, name="timbre-previews", daemon=True).start()

    def sweep(self) -> None:
        """Take back what was lent, and forget what may have been paid, each when its time is over."""
        self.publisher.sweep()
        self._journal.sweep()

    @property
    def busy(self) -> bool:
        """Whether an answer is waited for."""
        return self._queue.busy

    def close(self) -> bool:
        """Take no more work, and wait a while for the answers of what was sent; return whether all has ended."""
        return self._queue.close(ANSWERS_COME_WITHIN_S)

    def clone(self, asked: Asked, tell: Tell, stop: Stop) -> Cloned:
        """Have a voice cloned, once, and keep it.

        Args:
            asked: what.
            tell: told the stages.
            stop: obeyed until the request is sent.

        Raises:
            As ``Hosted.clone``; BusyError ``same_request``; MaybeDone ``maybe_paid``, it was sent before, or
            ``not_kept``, with the voice_id in it.
        """
        order, voice = asked.order, asked.voice
        entry = replace(self._journal.entry(voice.owner, CLONE, voice.request_key), voice=voice)
        with self._once(entry) as answered, self._workspace.folder() as folder:
            stored = self._library.again(voice.request_key, voice.owner)
            if stored:
                return replayed(stored)
            say, files, made = partial(_say, tell, 2, N_STEPS), files_of(asked.clips), answered
            if made is None:
                say("The hosted service is cloning")
                sending = partial(self._journal.add, entry, files)
                answer = self.hosted.clone(order, asked.clips, folder, say, stop, sending=sending)
                url, key = answer.demo_audio_url or "", self.hosted.key(order.owner, order.api_key)
                made = replace(entry, voice_id=answer.voice_id, preview_url="" if key in url else url)
            kept = self._keep(made, files)
            with suppress(CancelledError):  # it is paid for now, so it is kept even if somebody asked to stop
                tell(Stage("Keeping the voice", 3, N_STEPS))
            if not made.preview_url:
                return Cloned(kept, False, NO_PREVIEW if order.options.text is not None else "")
            note = self._add_preview(made, folder)
            alike = None if note or self._queue.closed else asked.measure(folder / PREVIEW)
            return Cloned(self._compared(self._library.get(kept.voice_id, kept.owner), alike), False, note)

    def speak(self, order: SpeakOrder, tell: Tell, stop: Stop) -> Spoken:
        """Have a text said with a hosted voice, which makes the voice permanent, there and here.

        Raises:
            As ``Hosted.speak``; BusyError ``same_request``; MaybeDone ``maybe_paid``, it was sent before.
        """
        asked = order.text, order.model, order.settings
        entry = self._journal.entry(order.owner, SPEECH, order.voice_id, *asked, voice_id=order.voice_id)
        with self._once(entry):
            return self._speak(order, entry, tell, stop)

    def keep(self, voice_id: str, owner: str, api_key: str | None, tell: Tell, stop: Stop) -> Voice:
        """Have a hosted voice say the shortest text that makes it permanent; nothing where it is already.

        Raises:
            As ``speak``.
        """
        entry = self._journal.entry(owner, KEEP, voice_id, voice_id=voice_id)
        with self._once(entry):
            voice = self._library.get(voice_id, owner)
            if voice.permanent:  # somebody else was first
                return voice
            return self._speak(
                SpeakOrder(owner, voice_id, KEEP_TEXT, KEEP_MODEL, api_key=api_key), entry, tell, stop
            ).voice

    def left(self, owner: str) -> list[Entry]:
        """Return what an owner may have paid for without getting it; newest first."""
        return self._journal.left(owner)

    def left_bytes(self, owner: str) -> int:
        """Return how much of the store that takes."""
        return self._journal.used_bytes(owner)

    def keep_left(self, entry_id: str, owner: str, voice_id: str = "") -> Voice:
        """Keep what went through after all: the voice of a clone, or that a voice has spoken and so is permanent.

        Args:
            entry_id: which entry.
            owner: whose.
            voice_id: of a clone's voice, as the service's console shows it.

        Raises:
            VoiceError: ``no_voice_id``, there is none or it can't be one; ``voice_exists``; as ``Library.get``.
            TimbreError: ``unknown_request``.
            BusyError: ``same_request``.
        """
        with self._journal.alone(entry_id):
            entry = self._journal.get(entry_id, owner)
            if entry.voice is None:
                voice = self._library.keep(entry.voice_id, owner)
            else:
                voice = replace(entry.voice, voice_id=_checked(voice_id.strip() or entry.voice_id))
                voice = self._library.add(voice, self._journal.files(entry_id), partial(self._journal.kept, entry_id))
            self._journal.end(entry_id)
        return voice

    def dismiss(self, entry_id: str, owner: str) -> None:
        """Forget what did not go through, with its recordings; the same request may be sent again then.

        Raises:
            As ``keep_left``.
        """
        with self._journal.alone(entry_id):
            self._journal.end(self._journal.get(entry_id, owner).entry_id)

    def request_code(self, order: CloneOrder, clips: tuple[Clip, Clip | None], served_at: str) -> RequestCode:
        """Return an order as programs that send it; what is a file is lent to them for an hour.

        Args:
            order: its backend says whose API is asked.
            clips: the reference, and the prompt clip if there is one.
            served_at: the address at which the one who asks reaches this app; its public one is preferred.

        Raises:
            As ``Publisher.lend_for``.
        """
        own = "" if order.backend == NOVITA else self._own_url or served_at.rstrip("/")
        lent = [
            Link(clip.url) if clip.url else self.publisher.lend_for(clip.data, clip.suffix, at=own)
            for clip in clips
            if clip
        ]
        asked = clone_request(order, lent[0].url, lent[1].url if len(lent) > 1 else None)
        body = {"audio_url": asked.audio_url} | clone_body(asked)  # first what people look for first
        ends = min((link.expires_at for link in lent if link.expires_at), default=None)
        key_name = OWN_KEY if own else HOSTED_KEY
        return RequestCode(clone_code(Request(own or self.base_url, CLONE_PATH, body, key_name, ends)), ends)

    def _compared(self, voice: Voice, alike: Likeness | None) -> Voice:
        try:
            return self._library.compared(voice.voice_id, voice.owner, alike) if alike else voice
        except TimbreError as error:  # somebody forgot it in that moment
            log.warning("A likeness could not be kept: %s", error.code)
            return voice

    @contextmanager
    def _once(self, entry: Entry) -> Iterator[Entry | None]:
        """Let a request be sent by one at a time, and not while it is open whether it was sent before.

        Yields:
            What is written down of it, if it was answered, and could not be kept then.
        """
        with self._journal.alone(entry.entry_id):
            before = self._journal.find(entry.entry_id)
            if before and before.state == SENT:
                raise sent_before(before)
            if before and before.state == KEPT:  # its voice was forgotten since
                self._journal.end(entry.entry_id)
            try:
                yield before if before and before.state == ANSWERED else None
            except TimbreError as error:
                if not error.may_be_paid:
                    self._journal.end(entry.entry_id)
                raise

    def _speak(self, order: SpeakOrder, entry: Entry, tell: Tell, stop: Stop) -> Spoken:
        say = partial(_say, tell, 0, 1)
        say("The hosted service is speaking")

        def done() -> None:
            self._library.keep(order.voice_id, order.owner)
            self._journal.end(entry.entry_id)

        with self._workspace.folder() as folder:
            sending = partial(self._journal.add, entry, {})
            sound = self.hosted.speak(order, folder, say, stop, sending=sending, done=done)
        voice = self._library.get(order.voice_id, order.owner)
        return Spoken(voice, sound.samples, sound.sample_rate, order.model)

    def _keep(self, made: Entry, files: dict[str, bytes]) -> Voice:
        """Keep a voice that was just made, its id first of all; the entry stays while there is a preview to fetch."""
        assert made.voice, "of a clone"
        entry_id = made.entry_id
        _tried(partial(self._journal.answered, entry_id, made.voice_id, made.preview_url))
        try:
            voice = replace(made.voice, voice_id=made.voice_id)
            kept = self._library.add(voice, files, partial(self._journal.kept, entry_id))
        except Exception as error:  # noqa: BLE001  whatever it is, the id that was paid for must not be lost with it
            log.error("A paid voice could not be kept: %s", type(error).__name__)
            raise MaybeDone(
                f"The service made the voice {made.voice_id}, but it could not be kept here.",
                code="not_kept",
                advice="Note its voice_id: with it, the voice can still be kept among yours, and that costs nothing.",
            ) from None
        if not made.preview_url:
            _tried(partial(self._journal.end, entry_id))
        return kept

    def _take_up(self, entry_id: str, *, fetch: bool) -> None:
        """Go on with an entry of an earlier process: keep its voice, or fetch its preview."""
        with suppress(BusyError), self._journal.alone(entry_id), self._workspace.folder() as folder:
            entry = self._journal.find(entry_id)
            if entry and entry.state == ANSWERED:
                self._keep(entry, self._journal.files(entry_id))
            elif entry and entry.state == KEPT and fetch:
                self._add_preview(entry, folder)

    def _fetch_previews(self, entry_ids: list[str]) -> None:
        for entry_id in entry_ids:
            try:
                self._take_up(entry_id, fetch=True)
            except Exception:
                if self._queue.closed:  # its folder went with the app; the next start fetches it
                    return
                log.exception("A preview could not be fetched just now")

    def _add_preview(self, made: Entry, folder: Path) -> str:
        """Fetch the preview of a voice that is kept; return what went wrong, "" when nothing did."""
        note = ""
        try:
            voice = self._library.get(made.voice_id, made.owner)
            data, suffix = self.hosted.preview(made.preview_url, folder, Stop())
            files = {f"preview.{suffix}": marked(data, suffix, provenance_of(voice))}
            self._library.update_files(voice.voice_id, voice.owner, files)
        except TimbreError as error:  # the voice is there and paid for; it is kept without its preview
            log.warning("A preview could not be had: %s", error.code)
            note = f"The voice is made, but its preview could not be had. {error.message}"
        _tried(partial(self._journal.end, made.entry_id))
        return note


def _checked(voice_id: str) -> str:
    if not sayable(voice_id):
        raise VoiceError(
            "The voice_id is missing, or can't be one.",
            code="no_voice_id",
            field="voice_id",
            advice="Copy it from the service's console, where the voices are listed.",
        )
    return voice_id


def _tried(work: Callable[[], object]) -> None:
    """Do what the next start does again where it fails: what is paid for must not fail with it."""
    try:
        work()
    except Exception:
        log.exception("What was paid for could not be tidied up just now")


def files_of(clips: tuple[Clip, Clip | None]) -> dict[str, bytes]:
    """Return a voice's recordings under the names they are kept by."""
    return {f"{kind}.{c.suffix}": c.data for kind, c in zip(("reference", "prompt"), clips, strict=True) if c}


def _say(tell: Tell, done: int, total: int, said: str) -> None:
    tell(Stage(said, done, total))
