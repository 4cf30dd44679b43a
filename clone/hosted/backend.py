"""The hosted backend: whose key pays, one request at a time, links lent for a call, sounds brought home.

Who may spend the owner's money is decided here, below every view, for a Space's handlers can be reached without its
page: the owner on their own machine, and whoever presents one of the keys that the owner gave out (TIMBRE_API_KEYS).
Keys were chosen over signing in with Hugging Face because they work the same on a Space, behind a tunnel and in a
closed network, and because the served API has them already. Everybody else brings a key of their own.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from clone.audio.decoder import MAX_INTAKE_S
from clone.audio.reader import MAX_INTAKE_BYTES, Recording, read
from clone.contract.cloning import ClonePrompt, CloneRequest, CloneResponse
from clone.contract.orders import LOCAL_OWNER, CloneOrder, SpeakOrder
from clone.core.errors import HostedError, KeyRefused
from clone.core.fetching import fetch
from clone.core.jobs import Stop
from clone.core.settings import Settings
from clone.hosted.client import Novita, Pace, Say
from clone.hosted.lending import Publisher

DOWNLOAD_S = 60.0

Sending = Callable[[], object]

PREVIEW = "preview"
"""What a downloaded sound is called in the folder lent for it."""


@dataclass(frozen=True)
class Clip:
    """A recording to hand over: as it is to be sent, its format, and the link it was given by, if it is still that."""

    data: bytes
    suffix: str
    url: str | None = None


def clip_of(given: Path | str | None, recording: Recording, kept: tuple[bytes, str]) -> Clip:
    """Return a recording to hand over: by the link it was given by, if that leads to what is to be cloned.

    Args:
        given: a file, or a URL as str.
        recording: what was read there.
        kept: the bytes to clone from, and their format.
    """
    untouched = kept[1] == recording.format and len(kept[0]) == recording.n_bytes
    return Clip(*kept, given if isinstance(given, str) and untouched else None)


def clone_request(order: CloneOrder, audio_url: str, prompt_url: str | None) -> CloneRequest:
    """Return what an order asks for, its recordings at these addresses."""
    prompt = ClonePrompt(prompt_audio_url=prompt_url, prompt_text=order.prompt_text or "") if prompt_url else None
    return CloneRequest(audio_url=audio_url, clone_prompt=prompt, **order.options.model_dump())


class Hosted:
    """The hosted service for every owner; thread-safe.

    Args:
        settings: the service's address, the owner's key and the keys given out.
        publisher: lends recordings out.
        pace: how long to wait for what.
    """

    def __init__(self, settings: Settings, publisher: Publisher, pace: Pace | None = None) -> None:
        self._settings = settings
        self.publisher = publisher
        self._pace = pace or Pace()

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
            advice="Enter your own key of the service. It is kept for this visit only, and nowhere else.",
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

    def clone(
        self,
        order: CloneOrder,
        clips: tuple[Clip, Clip | None],
        folder: Path,
        say: Say,
        stop: Stop,
        *,
        sending: Sending,
    ) -> CloneResponse:
        """Have a voice cloned.

        Args:
            order: who asks for what.
            clips: the reference, and the prompt clip if there is one.
            folder: for what is lent; the caller removes it.
            say: told what is being waited for.
            stop: obeyed until the request is sent.
            sending: called when all is ready, just before the request leaves.

        Raises:
            MaybeDone: it was sent, and its end is not known.
            TimbreError: what refuses or fails before that.
        """
        client = self._client(order.owner, order.api_key)
        with ExitStack() as lent:
            urls = [lent.enter_context(self._address(clip, folder)) if clip else None for clip in clips]
            sending()
            return client.clone(clone_request(order, urls[0] or "", urls[1]), say, stop)

    def preview(self, url: str, folder: Path, stop: Stop) -> tuple[bytes, str]:
        """Download the preview of a clone; it stays in the folder, as PREVIEW.

        Returns:
            Its bytes and its format.

        Raises:
            TimbreError: it can't be had.
        """
        recording = self._bring(url, folder, stop)
        return (folder / PREVIEW).read_bytes(), recording.format

    def speak(
        self, order: SpeakOrder, folder: Path, say: Say, stop: Stop, *, sending: Sending, done: Sending
    ) -> Recording:
        """Have a text said with a voice.

        Args:
            order: who asks for what.
            folder: for what is downloaded; the caller removes it.
            say: told what is being waited for.
            stop: obeyed until the request is sent, and again while its sound is downloaded.
            sending: as for ``clone``.
            done: called when the service has spoken, which made the voice permanent there whatever follows.

        Raises:
            As ``clone``; HostedError ``speech_lost`` when the sound can't be had.
        """
        client = self._client(order.owner, order.api_key)
        sending()
        sound = client.speak(order.voice_id, order.text, order.model, say, stop, settings=order.settings)
        done()
        try:
            if isinstance(sound, str):
                return self._bring(sound, folder, stop)
            (folder / PREVIEW).write_bytes(sound)
            return read(folder / PREVIEW, most_s=MAX_INTAKE_S)  # it is here, and paid for
        except (HostedError, ValueError) as error:  # what refuses is a ValueError
            raise HostedError(
                "The service spoke, but its sound could not be had.",
                code="speech_lost",
                advice=f"The voice is kept for good now. {getattr(error, 'message', '')}".strip(),
            ) from None

    def _client(self, owner: str, given: str | None) -> Novita:
        return Novita(self._settings.novita_base_url, self.key(owner, given), self._pace)

    @contextmanager
    def _address(self, clip: Clip, folder: Path) -> Iterator[str]:
        if clip.url:
            yield clip.url
            return
        with self.publisher.lend(clip.data, clip.suffix, folder) as url:
            yield url

    def _bring(self, url: str, folder: Path, stop: Stop) -> Recording:
        """Download a sound at once, for such links die, and make sure that it is one."""
        allow_private = self._settings.allow_private_urls
        path = fetch(
            url, folder, allow_private=allow_private, max_bytes=MAX_INTAKE_BYTES, timeout_s=DOWNLOAD_S, stop=stop
        )
        path.replace(folder / PREVIEW)
        return read(folder / PREVIEW, stop=stop, most_s=MAX_INTAKE_S)
