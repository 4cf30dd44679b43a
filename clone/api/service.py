"""What every dialect of the API does its work with: whose a request is, its order, its speech as it is encoded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Generator
from contextlib import aclosing, closing
from functools import partial
from pathlib import Path
from typing import Any, cast

from anyio import to_thread
from fastapi import Request
from starlette.requests import HTTPConnection

from clone.api.auth import Keys, RateLimit, RateLimits
from clone.api.requests import Asker, Follower
from clone.audio.encoder import Encoder
from clone.contract.orders import LOCAL_OWNER, CloneOrder, SpeakOrder
from clone.contract.speech import LINK_LIFETIME, AudioSetting, OutputFormat
from clone.core.errors import VoiceError
from clone.core.settings import Settings
from clone.core.signed_urls import MEDIA, OTHER_MEDIA, Signer
from clone.core.workspace import secret_for
from clone.storage.tasks import Task
from clone.storage.voice import Voice
from clone.studio.facade import Cloned, Passage, Studio
from clone.studio.synthesis import encoded

NAMED_MAX = 20
"""Voices of one's own that a refusal names."""


class Service:
    """One for all dialects: the same studio, keys, limits and queue.

    Args:
        studio: does the work.
        settings: the address, and what speaks where a voice is asked for that there is not.
        keys: lets programs in.
        limits: how often; shared with whatever else lets the keys in.
    """

    def __init__(self, studio: Studio, settings: Settings, keys: Keys, limits: RateLimits) -> None:
        self.studio = studio
        self._limits = limits
        self.tasks = studio.tasks()
        self.uploads = studio.uploads
        self.signer = Signer(secret_for(settings, "link_secret").encode())
        self._settings = settings
        self._keys = keys
        self._follower = Follower()

    def owner(self, request: HTTPConnection, header: str = "authorization") -> str:
        """Return whose a request is; raises ApiKeyError.

        Args:
            request: brings the key.
            header: a header that brings it bare, where that is there; else it is the bearer of Authorization.
        """
        given = request.headers.get(header)
        bare = given is not None and header != "authorization"
        return self._keys.owner(f"Bearer {given}" if bare else request.headers.get("authorization"))

    async def count(self, work: str, owner: str) -> None:
        """Count a call of one kind: ``check``, ``clone`` or ``speak``; raises BusyError ``rate_limit``."""
        limit: RateLimit = getattr(self._limits, work)
        if limit.counted:  # a database is asked, which others' answers don't wait for
            await to_thread.run_sync(limit.take, owner)
        else:
            limit.take(owner)

    async def voice(self, word: str, owner: str, *, or_default: bool = False) -> Voice:
        """Return an owner's voice by its id or name.

        Args:
            word: the id or the name.
            owner: whose.
            or_default: take the default voice, where there is one, for a word that is neither.

        Raises:
            VoiceError: there is none; it names those that there are.
        """
        try:
            return await to_thread.run_sync(self.studio.find, word, owner)
        except VoiceError as error:
            if or_default and self._settings.default_voice and error.code == "unknown_voice":
                return await to_thread.run_sync(self.studio.find, self._settings.default_voice, owner)
            if error.code == "unknown_voice":
                error.message = f"There is no voice “{word[:60]}” of yours."
                error.advice = await to_thread.run_sync(self._named, owner)
            raise

    async def order(self, owner: str, voice_id: str, asked: tuple[str, str], **more: Any) -> SpeakOrder:
        """Return an order to say (text, model) with a voice, by its id or name; raises VoiceError."""
        mix = tuple([((await self.voice(word, owner)).voice_id, weight) for word, weight in more.pop("mix", ())])
        if mix:
            return SpeakOrder(owner, mix[0][0], *asked, mix=mix, **more)
        local = await to_thread.run_sync(owners_voice, self.studio, voice_id, owner == self._keys.house)
        voice = local or await self.voice(voice_id, owner)
        return SpeakOrder(voice.owner, voice.voice_id, *asked, **more)

    async def clone(self, request: Asker, order: CloneOrder) -> Cloned:
        """Clone a voice; raises as Studio.clone(), and CancelledError where the asker leaves."""
        return cast(Cloned, await self._follower.result(request, self.studio.clone(order)))

    async def speech(
        self, request: Asker, order: SpeakOrder, sound: AudioSetting | OutputFormat, *, open_ended: bool = False
    ) -> Speech:
        """Return speech that is about to be spoken; raises as Studio.provenance()."""
        provenance = await to_thread.run_sync(self.studio.provenance, order)
        encoder = Encoder(sound, provenance, open_ended=open_ended)
        return Speech(request, self._follower, encoder, self.studio.speak_long(order))

    async def preview(self, request: Request, cloned: Cloned) -> str:
        """Return a link to the preview of a voice, which lives as long as all links."""
        return self.link(request, await to_thread.run_sync(self._preview, cloned.voice))

    async def kept(self, request: Request, owner: str, model: str, data: bytes, suffix: str) -> str:
        """Return a link to something that is kept for it."""
        return self.link(request, await to_thread.run_sync(partial(self.tasks.keep, owner, model, data, suffix)))

    async def subtitles(self, request: Request, speech: Speech, order: SpeakOrder, *, wanted: bool) -> dict[str, str]:
        """Return the link to when each sentence was said, by its name in answers; nothing where nobody asks."""
        if not wanted:
            return {}
        return {"subtitle_file": await self.kept(request, order.owner, order.model, speech.subtitles, "json")}

    def base(self, request: Request) -> str:
        """Return the address that links begin with."""
        return self._settings.public_url or str(request.base_url).rstrip("/")

    def link(self, request: Request, task: Task) -> str:
        """Return the link to what was spoken."""
        key = f"speech/{task.task_id}/{task.file}"
        return self.signer.link(self.base(request), key, LINK_LIFETIME.total_seconds())

    def linked(self, key: str, method: str) -> Path | str | None:
        """Return the file that a link leads to, or where a bucket answers such a request for it."""
        parts = key.split("/")
        if len(parts) != 3 or parts[0] != "speech":
            return None
        if not self.tasks.are_in_bucket:
            return self.tasks.path(parts[1])
        media = MEDIA.get(Path(parts[2]).suffix)
        return self.tasks.link(parts[1], media or OTHER_MEDIA, saved=media is None, head=method == "HEAD")

    def _preview(self, voice: Voice) -> Task:
        data = self.studio.audio(voice.voice_id, voice.owner, "preview").read_bytes()
        return self.tasks.keep(voice.owner, voice.model or "", data, "mp3")

    def _named(self, owner: str) -> str:
        voices = self.studio.voices(owner)
        own = [f"{voice.name or 'without a name'} ({voice.called})" for voice in voices[:NAMED_MAX]]
        more = f" and {len(voices) - NAMED_MAX} more" if len(voices) > NAMED_MAX else ""
        return f"Yours are: {', '.join(own)}{more}." if own else "You have none yet: clone one first."


def owners_voice(studio: Studio, voice_id: str, is_house: bool) -> Voice | None:
    """Return a voice that the owner of this machine made on the page, for the key that only they can read.

    Nothing is found by its name, or listed: the voice_id has to be known.
    """
    try:
        return studio.voice(voice_id, LOCAL_OWNER) if is_house else None
    except VoiceError:
        return None


class Speech:
    """Speech as it is spoken and encoded; when each sentence is said.

    Args:
        request: who asks; when they have gone, the work stops.
        follower: does the work.
        encoder: makes the file.
        spoken: what the studio speaks.
    """

    def __init__(
        self, request: Asker, follower: Follower, encoder: Encoder, spoken: Generator[object, None, None]
    ) -> None:
        self._request = request
        self._follower = follower
        self._encoder = encoder
        self._spoken = spoken
        self._at_s = 0.0
        self._subtitles: list[dict[str, Any]] = []
        self.n_bytes = 0

    @property
    def duration_s(self) -> float:
        """Length of what was spoken, in seconds."""
        return self._encoder.duration_s

    @property
    def subtitles(self) -> bytes:
        """When each sentence is said, in milliseconds, as JSON."""
        return json.dumps(self._subtitles, ensure_ascii=False).encode()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield what is ready of the file; raises as Studio.speak_long(), and CancelledError."""
        async with self._follower.following(self._request, encoded(self._timed(), self._encoder)) as events:
            async for event in events:
                if isinstance(event, bytes) and event:
                    self.n_bytes += len(event)
                    yield event

    async def file(self) -> bytes:
        """Return all of it; raises as pieces()."""
        data = self._encoder.file([piece async for piece in self.pieces()])
        self.n_bytes = len(data)
        return data

    async def streamed(self) -> AsyncIterator[bytes]:
        """Return pieces() once the first is there, so that what refuses the request is still an answer of its own."""
        return await begun(self.pieces())

    def _timed(self) -> Generator[object, None, None]:
        with closing(self._spoken):
            for event in self._spoken:
                if isinstance(event, Passage):
                    self._time(event)
                yield event

    def _time(self, passage: Passage) -> None:
        begin_s, self._at_s = self._at_s, self._at_s + len(passage.samples) / passage.sample_rate
        if passage.sentence:
            self._subtitles.append({"text": passage.sentence, "time_begin": round(begin_s * 1000, 1)})
        if self._subtitles:
            self._subtitles[-1]["time_end"] = round((self._at_s - passage.silence_s) * 1000, 1)


async def begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return an iterator whose first item is there; raises what comes before it."""
    first = await anext(chunks)

    async def all_of_it() -> AsyncIterator[bytes]:
        async with aclosing(cast(Any, chunks)):
            yield first
            async for chunk in chunks:
                yield chunk

    return all_of_it()
