"""Jobs of the hosted service: whose key pays, their queue, what they cost, and what of them is kept in the library.

Who may spend the owner's money is decided here, below every view, for a Space's handlers can be reached without its
page: the owner on their own machine, and whoever presents one of the keys that the owner gave out (TIMBRE_API_KEYS).
Keys were chosen over signing in with Hugging Face because they work the same on a Space, behind a tunnel and in a
closed network, and because the served API has them already. Everybody else brings a key of their own.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clone.audio.decoder import MAX_INTAKE_S
from clone.audio.reader import Recording, read
from clone.contract.cloning import CloneOptions, ClonePrompt, CloneRequest, CloneResponse
from clone.contract.orders import LOCAL_OWNER, CloneOrder, SpeakOrder
from clone.core.errors import CancelledError, HostedError, KeyRefused, TimbreError
from clone.core.jobs import Queue, Stage, Stop, Tell, Work
from clone.core.likeness import Likeness
from clone.core.settings import NOVITA, Settings
from clone.core.workspace import Workspace
from clone.hosted.client import CLONE_PATH, AudioOrLink, NovitaClient, Say, clone_body
from clone.hosted.lending import Link, Publisher
from clone.hosted.pricing import KEEP_BILL, KEEP_MODEL, KEEP_TEXT, Bill, clone_bill, estimate
from clone.storage.files import Store
from clone.storage.journal import ANSWERED, CLONE, KEEP, KEPT, SENT, SPEECH, Entry, sent_before
from clone.storage.voice import Voice
from clone.storage.voices import Library
from clone.studio.analysis import Clip
from clone.studio.results import Cloned, Spoken, check_room, replayed
from clone.studio.settlement import PREVIEW, Settlement
from clone.studio.snippets import HOSTED_KEY, OWN_KEY, Draft, Request, RequestCode, clone_code, draft_code

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
        self.publisher = Publisher(settings, store, passing=library)
        self._settings = settings
        self.base_url = settings.novita_base_url
        self._own_url = settings.public_url
        self._library = library
        self._workspace = workspace
        self._queue = Queue(name="hosted", n_workers=MAX_CALLS)
        self.settlement = Settlement(settings, store, library, workspace, lambda: self._queue.closed)
        self._journal = self.settlement.journal

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
        """Take back what was lent, and go on with what was answered before a kill; for the start."""
        self.publisher.sweep()
        self.settlement.resume()

    def sweep(self) -> None:
        """Take back what was lent, and forget what may have been paid, each when its time is over."""
        self.publisher.sweep()
        self._library.led("journal", self._sweep_journal)

    def _sweep_journal(self) -> None:
        self._journal.sweep()
        if self._settings.is_shared:  # what another host could not end any more
            self.settlement.resume()

    @property
    def busy(self) -> bool:
        """Whether an answer is waited for."""
        return self._queue.busy

    def close(self) -> bool:
        """Take no more work, and wait a while for the answers of what was sent; return whether all has ended."""
        return self._queue.close(ANSWERS_COME_WITHIN_S)

    def key(self, owner: str, given: str | None) -> str:
        """Return the key that pays for an owner's request.

        Args:
            owner: who asks.
            given: what they entered: a key of the service, or one that the owner of this app gave out.

        Raises:
            KeyRefused: ``no_key``, there is none that may be used.
        """
        entered = (given or "").strip()
        invited = sum(hmac.compare_digest(entered.encode(), key.encode()) for key in self._settings.api_keys) > 0
        if entered and not invited:
            return entered
        if self._settings.novita_api_key and (invited or owner == LOCAL_OWNER):
            return self._settings.novita_api_key
        raise KeyRefused(
            "The hosted service needs a key, and there is none for you here.",
            code="no_key",
            field="api_key",
            advice="Set NOVITA_API_KEY, or enter your own key on the page: it is kept for that visit alone.",
        )

    def check(self, order: CloneOrder) -> None:
        """Refuse before any work what could not be sent in the end.

        Raises:
            KeyRefused: ``no_key`` or ``bad_key``.
            PublishError: there is no way to hand a file over.
        """
        self._client(order.owner, order.api_key)
        if isinstance(order.audio, Path) or isinstance(order.prompt_audio, Path):
            self.publisher.check()

    def check_room(self, owner: str, files: Mapping[str, bytes]) -> None:
        """Refuse files beyond what an owner may keep; raises BusyError ``quota_disk``."""
        used = self._library.used_bytes(owner) + self.settlement.left_bytes(owner)
        check_room(used + sum(map(len, files.values())))

    def _note_sent(self, entry: Entry, files: Mapping[str, bytes], stop: Stop) -> None:
        """Write down what is about to be sent, while there is room for it, whatever else the owner keeps just now."""
        with self._library.alone("room", entry.owner, wait=stop.pause):
            self.check_room(entry.owner, files)
            self._journal.add(entry, files)

    def clone(self, asked: Asked, tell: Tell, stop: Stop) -> Cloned:
        """Have a voice cloned, once, and keep it.

        Args:
            asked: what.
            tell: called with the stages.
            stop: obeyed until the request is sent.

        Raises:
            As ``NovitaClient.clone``; KeyRefused; BusyError ``same_request``; MaybeDone ``maybe_paid``, it was sent
            before, or ``not_kept``, with the voice_id in it.
        """
        order, voice = asked.order, asked.voice
        entry = replace(self._journal.entry(voice.owner, CLONE, voice.request_key), voice=voice)
        with self._workspace.folder() as folder, self._once(entry) as answered:
            stored = self._library.again(voice.request_key, voice.owner)
            if stored:
                return replayed(stored)
            say, files, made = partial(_say, tell, 2, N_STEPS), files_of(asked.clips), answered
            if made is None:
                say("The hosted service is cloning")
                answer = self._ask(asked, folder, say, stop, sending=partial(self._note_sent, entry, files, stop))
                url, key = answer.demo_audio_url or "", self.key(order.owner, order.api_key)
                made = replace(entry, voice_id=answer.voice_id, preview_url="" if key in url else url)
            kept = self.settlement.keep(made, files)
            with suppress(CancelledError):  # it is paid for now, so it is kept even if somebody asked to stop
                tell(Stage("Keeping the voice", 3, N_STEPS))
            if not made.preview_url:
                return Cloned(kept, False, NO_PREVIEW if order.options.text is not None else "")
            note = self.settlement.add_preview(made, folder)
            alike = None if note or self._queue.closed else asked.measure(folder / PREVIEW)
            return Cloned(self._compared(self._library.get(kept.voice_id, kept.owner), alike), False, note)

    def speak(self, order: SpeakOrder, tell: Tell, stop: Stop) -> Spoken:
        """Have a text said with a hosted voice, which makes the voice permanent, there and here.

        Raises:
            As ``NovitaClient.speak``; KeyRefused; HostedError ``speech_lost``; BusyError ``same_request``; MaybeDone
            ``maybe_paid``, it was sent before.
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
        written = clone_code(Request(own or self.base_url, CLONE_PATH, body, key_name, ends))
        return RequestCode(written, ends, tuple(link.url for link in lent))

    def draft_code(self, draft: Draft, backend: str, served_at: str) -> RequestCode:
        """Return what is known of a request as programs; nothing is checked, and nothing lent.

        Args:
            draft: what is known.
            backend: whose API is asked.
            served_at: as for ``request_code``.
        """
        hosted = backend == NOVITA
        base_url = self.base_url if hosted else self._own_url or served_at.rstrip("/")
        return draft_code(draft, base_url, HOSTED_KEY if hosted else OWN_KEY)

    def _ask(self, asked: Asked, folder: Path, say: Say, stop: Stop, *, sending: Callable[[], object]) -> CloneResponse:
        """Send the request to clone; its files are lent meanwhile, and ``sending`` is called just before it leaves."""
        client = self._client(asked.order.owner, asked.order.api_key)
        with ExitStack() as lent:
            urls = [lent.enter_context(self._address(clip, folder)) if clip else None for clip in asked.clips]
            sending()
            return client.clone(clone_request(asked.order, urls[0] or "", urls[1]), say, stop)

    def _heard(self, sound: AudioOrLink, folder: Path, stop: Stop) -> Recording:
        """Read what the service spoke, downloaded first where it answered with a link.

        Raises:
            HostedError: ``speech_lost``.
        """
        try:
            if isinstance(sound, str):
                return self.settlement.download(sound, folder, stop)
            (folder / PREVIEW).write_bytes(sound)
            return read(folder / PREVIEW, most_s=MAX_INTAKE_S)  # it is here, and paid for
        except (HostedError, ValueError) as error:  # what refuses is a ValueError
            raise HostedError(
                "The service spoke, but its sound could not be had.",
                code="speech_lost",
                advice=f"The voice is kept for good now. {getattr(error, 'message', '')}".strip(),
            ) from None

    def _client(self, owner: str, given: str | None) -> NovitaClient:
        return NovitaClient(self._settings.novita_base_url, self.key(owner, given))

    @contextmanager
    def _address(self, clip: Clip, folder: Path) -> Iterator[str]:
        if clip.url:
            yield clip.url
            return
        with self.publisher.lend(clip.data, clip.suffix, folder) as url:
            yield url

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
        client = self._client(order.owner, order.api_key)
        with self._workspace.folder() as folder:
            self._journal.add(entry, {})
            sound = client.speak(order.voice_id, order.text, order.model, say, stop, settings=order.settings)
            self._library.keep(order.voice_id, order.owner)  # the service has spoken, which made it permanent there
            self._journal.end(entry.entry_id)
            recording = self._heard(sound, folder, stop)
        voice = self._library.get(order.voice_id, order.owner)
        return Spoken(voice, recording.samples, recording.sample_rate, order.model)


def clone_request(order: CloneOrder, audio_url: str, prompt_url: str | None) -> CloneRequest:
    """Return what an order asks for, its recordings at these addresses."""
    prompt = ClonePrompt(prompt_audio_url=prompt_url, prompt_text=order.prompt_text or "") if prompt_url else None
    return CloneRequest(audio_url=audio_url, clone_prompt=prompt, **order.options.model_dump())


def files_of(clips: tuple[Clip, Clip | None]) -> dict[str, bytes]:
    """Return a voice's recordings under the names they are kept by."""
    return {f"{kind}.{c.suffix}": c.data for kind, c in zip(("reference", "prompt"), clips, strict=True) if c}


def _say(tell: Tell, done: int, total: int, said: str) -> None:
    tell(Stage(said, done, total))
