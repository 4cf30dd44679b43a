"""Jobs of the hosted service: their queue, what they cost, and what of them is kept in the library."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from clone.audio.tags import marked
from clone.contract import CloneOptions
from clone.errors import CancelledError, MaybeDone, TimbreError
from clone.hosted import PREVIEW, Clip, Hosted, clone_request
from clone.jobs import Queue, Stage, Stop, Tell, Work
from clone.library import Library
from clone.likeness import Likeness
from clone.novita import CLONE_PATH, clone_body
from clone.orders import Cloned, CloneOrder, SpeakOrder, Spoken
from clone.prices import KEEP_BILL, KEEP_MODEL, KEEP_TEXT, Bill, clone_bill, estimate
from clone.publish import Link, Publisher
from clone.receipt import provenance_of
from clone.settings import NOVITA, Settings
from clone.snippets import HOSTED_KEY, OWN_KEY, Request, RequestCode, clone_code
from clone.store import Store
from clone.voice import Voice
from clone.workspace import Workspace

log = logging.getLogger(__name__)

MAX_CALLS = 4
"""Jobs at a time: they wait for the service and take no core of this machine."""

N_STEPS = 4
"""Of a hosted clone: reading, checking, cloning, keeping."""


Asked = tuple[CloneOrder, Voice, Callable[[Path], Likeness | None]]


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
        self._base_url = settings.novita_base_url
        self._own_url = settings.public_url
        self._library = library
        self._workspace = workspace
        self._queue = Queue(n_workers=MAX_CALLS)

    def run(self, owner: str, work: Work) -> Iterator[object]:
        """Do a job in turn, beside the jobs of this machine's engine."""
        return self._queue.run(owner, work)

    def clone_cost(self, options: CloneOptions) -> str:
        """Say what the service may charge for a clone."""
        return estimate(clone_bill(options), self._base_url)

    def speech_cost(self, text: str, model: str) -> str:
        """Say what the service may charge for a text."""
        return estimate(Bill(0, len(text), model), self._base_url)

    def keep_cost(self) -> str:
        """Say what the service may charge for keeping a voice."""
        return estimate(KEEP_BILL, self._base_url)

    def keep_order(self, voice_id: str, owner: str, api_key: str | None = None) -> SpeakOrder:
        """Return the shortest speech that makes a hosted voice permanent."""
        return SpeakOrder(owner, voice_id, KEEP_TEXT, KEEP_MODEL, api_key=api_key)

    def clone(self, asked: Asked, clips: tuple[Clip, Clip | None], folder: Path, tell: Tell, stop: Stop) -> Cloned:
        """Have a voice cloned, once, and keep it.

        Args:
            asked: the order, the voice as it is to be kept, still without the id it will get, and what tells of the
                file of a preview how alike that is to the original; it raises nothing.
            clips: the reference, and the prompt clip if there is one.
            folder: for files in passing; the caller removes it.
            tell: told the stages.
            stop: obeyed until the request is sent.

        Raises:
            As ``Hosted.clone``; BusyError ``same_request``; MaybeDone ``not_kept`` with the voice_id in it.
        """
        order, voice, measure = asked
        with self.hosted.once(voice.owner + voice.request_key):
            stored = self._library.again(voice.request_key, voice.owner)
            if stored:
                return Cloned(stored, True)
            say = partial(_say, tell, 2, N_STEPS)
            say("The hosted service is cloning")
            made = self.hosted.clone(order, clips, folder, say, stop)
            with suppress(CancelledError):  # it is paid for now, so it is kept even if somebody asked to stop
                tell(Stage("Keeping the voice", 3, N_STEPS))
            voice, files = replace(voice, voice_id=made.voice_id), files_of(clips)
            if made.preview:
                data, suffix = made.preview
                files[f"preview.{suffix}"] = marked(data, suffix, provenance_of(voice))
            kept = self._keep(voice, files)  # first of all, for it is paid for
            alike = measure(folder / PREVIEW) if made.preview else None
            return Cloned(self._compared(kept, alike), False, made.note)

    def speak(self, order: SpeakOrder, tell: Tell, stop: Stop) -> Spoken:
        """Have a text said with a hosted voice, which makes the voice permanent, there and here.

        Raises:
            As ``Hosted.speak``.
        """
        say = partial(_say, tell, 0, 1)
        say("The hosted service is speaking")
        keep: Callable[[], object] = partial(self._library.keep, order.voice_id, order.owner)
        with self._workspace.folder() as folder:
            sound = self.hosted.speak(order, folder, say, stop, done=keep)
        voice = self._library.get(order.voice_id, order.owner)
        return Spoken(voice, sound.samples, sound.sample_rate, order.model)

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
        return RequestCode(clone_code(Request(own or self._base_url, CLONE_PATH, body, key_name, ends)), ends)

    def _compared(self, voice: Voice, alike: Likeness | None) -> Voice:
        try:
            return self._library.compared(voice.voice_id, voice.owner, alike) if alike else voice
        except TimbreError as error:  # somebody forgot it in that moment
            log.warning("A likeness could not be kept: %s", error.code)
            return voice

    def _keep(self, voice: Voice, files: dict[str, bytes]) -> Voice:
        try:
            return self._library.add(voice, files)
        except Exception as error:  # noqa: BLE001  whatever it is, the id that was paid for must not be lost with it
            log.error("A paid voice could not be kept: %s", type(error).__name__)
            raise MaybeDone(
                f"The service made the voice {voice.voice_id}, but it could not be kept here.",
                code="not_kept",
                advice="Note its voice_id: it is yours at the service, and asking again would cost again.",
            ) from None


def files_of(clips: tuple[Clip, Clip | None]) -> dict[str, bytes]:
    """Return a voice's recordings under the names they are kept by."""
    return {f"{kind}.{c.suffix}": c.data for kind, c in zip(("reference", "prompt"), clips, strict=True) if c}


def _say(tell: Tell, done: int, total: int, said: str) -> None:
    tell(Stage(said, done, total))
