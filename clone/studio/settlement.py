"""What may have been paid without anybody getting it: kept as soon as it can be, or left to its owner to settle."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from clone.audio.decoder import MAX_INTAKE_S
from clone.audio.reader import MAX_INTAKE_BYTES, Recording, read
from clone.audio.writer import marked
from clone.core.errors import BusyError, MaybeDone, TimbreError, VoiceError
from clone.core.fetching import fetch
from clone.core.jobs import Stop
from clone.core.settings import Settings
from clone.core.workspace import Workspace
from clone.storage.files import Store
from clone.storage.journal import ANSWERED, KEPT, Entry, Journal
from clone.storage.voice import Voice, sayable
from clone.storage.voices import Library, utc_now
from clone.studio.results import provenance_of

log = logging.getLogger(__name__)

DOWNLOAD_S = 60.0
PREVIEW = "preview"
"""What a downloaded sound is called in the folder lent for it."""


class Settlement:
    """The journal of what is sent to be paid for, and what becomes of its entries; thread-safe.

    Args:
        settings: whether links may lead to private addresses.
        store: holds the recordings of entries.
        library: keeps the voices.
        workspace: lends folders.
        ended: whether the app takes no more work.
    """

    def __init__(
        self, settings: Settings, store: Store, library: Library, workspace: Workspace, ended: Callable[[], bool]
    ) -> None:
        self.journal = Journal(settings.home, library.database, store, utc_now)
        self._allow_private = settings.allow_private_urls
        self._library = library
        self._workspace = workspace
        self._ended = ended

    def resume(self) -> None:
        """Keep the voices that were answered before a kill, and fetch their previews beside the caller; for the start.

        What was sent without an answer is left to its owner; see ``left``.
        """
        self.journal.sweep(leftovers=True)
        unfinished = self.journal.unfinished()
        for entry in unfinished:
            tried(partial(self._take_up, entry.entry_id, fetch=False))
        if unfinished:
            fetching = partial(self._fetch_previews, [entry.entry_id for entry in unfinished])
            threading.Thread(target=fetching, name="timbre-previews", daemon=True).start()

    def left(self, owner: str) -> list[Entry]:
        """Return what an owner may have paid for without getting it; newest first."""
        return self.journal.left(owner)

    def left_bytes(self, owner: str) -> int:
        """Return how much of the store that takes."""
        return self.journal.used_bytes(owner)

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
        with self.journal.alone(entry_id):
            entry = self.journal.get(entry_id, owner)
            if entry.voice is None:
                voice = self._library.keep(entry.voice_id, owner)
            else:
                voice = replace(entry.voice, voice_id=_checked(voice_id.strip() or entry.voice_id))
                voice = self._library.add(voice, self.journal.files(entry_id), partial(self.journal.kept, entry_id))
            self.journal.end(entry_id)
        return voice

    def dismiss(self, entry_id: str, owner: str) -> None:
        """Forget what did not go through, with its recordings; the same request may be sent again then.

        Raises:
            As ``keep_left``.
        """
        with self.journal.alone(entry_id):
            self.journal.end(self.journal.get(entry_id, owner).entry_id)

    def keep(self, made: Entry, files: dict[str, bytes]) -> Voice:
        """Keep a voice that was just made, its id first of all; the entry stays while there is a preview to fetch."""
        assert made.voice, "of a clone"
        entry_id = made.entry_id
        tried(partial(self.journal.answered, entry_id, made.voice_id, made.preview_url))
        try:
            voice = replace(made.voice, voice_id=made.voice_id)
            kept = self._library.add(voice, files, partial(self.journal.kept, entry_id))
        except Exception as error:  # noqa: BLE001  whatever it is, the id that was paid for must not be lost with it
            log.error("A paid voice could not be kept: %s", type(error).__name__)
            raise MaybeDone(
                f"The service made the voice {made.voice_id}, but it could not be kept here.",
                code="not_kept",
                advice="Note its voice_id: with it, the voice can still be kept among yours, and that costs nothing.",
            ) from None
        if not made.preview_url:
            tried(partial(self.journal.end, entry_id))
        return kept

    def _take_up(self, entry_id: str, *, fetch: bool) -> None:
        """Go on with an entry of an earlier process: keep its voice, or fetch its preview."""
        with suppress(BusyError), self.journal.alone(entry_id), self._workspace.folder() as folder:
            entry = self.journal.find(entry_id)
            if entry and entry.state == ANSWERED:
                self.keep(entry, self.journal.files(entry_id))
            elif entry and entry.state == KEPT and fetch:
                self.add_preview(entry, folder)

    def _fetch_previews(self, entry_ids: list[str]) -> None:
        for entry_id in entry_ids:
            try:
                self._take_up(entry_id, fetch=True)
            except Exception:
                if self._ended():  # its folder went with the app; the next start fetches it
                    return
                log.exception("A preview could not be fetched just now")

    def add_preview(self, made: Entry, folder: Path) -> str:
        """Fetch the preview of a voice that is kept; return what went wrong, "" when nothing did."""
        note = ""
        try:
            voice = self._library.get(made.voice_id, made.owner)
            data, suffix = self._preview(made.preview_url, folder, Stop())
            files = {f"preview.{suffix}": marked(data, suffix, provenance_of(voice))}
            self._library.update_files(voice.voice_id, voice.owner, files)
        except TimbreError as error:  # the voice is there and paid for; it is kept without its preview
            log.warning("A preview could not be had: %s", error.code)
            note = f"The voice is made, but its preview could not be had. {error.message}"
        tried(partial(self.journal.end, made.entry_id))
        return note

    def _preview(self, url: str, folder: Path, stop: Stop) -> tuple[bytes, str]:
        """Download the preview of a clone; it stays in the folder, as PREVIEW.

        Returns:
            Its bytes and its format.

        Raises:
            TimbreError: it can't be had.
        """
        recording = self.download(url, folder, stop)
        return (folder / PREVIEW).read_bytes(), recording.format

    def download(self, url: str, folder: Path, stop: Stop) -> Recording:
        """Download a sound at once, for such links die, and make sure that it is one."""
        path = fetch(
            url, folder, allow_private=self._allow_private, max_bytes=MAX_INTAKE_BYTES, timeout_s=DOWNLOAD_S, stop=stop
        )
        path.replace(folder / PREVIEW)
        return read(folder / PREVIEW, stop=stop, most_s=MAX_INTAKE_S)


def _checked(voice_id: str) -> str:
    if not sayable(voice_id):
        raise VoiceError(
            "The voice_id is missing, or can't be one.",
            code="no_voice_id",
            field="voice_id",
            advice="Copy it from the service's console, where the voices are listed.",
        )
    return voice_id


def tried(work: Callable[[], object]) -> None:
    """Do what the next start does again where it fails: what is paid for must not fail with it."""
    try:
        work()
    except Exception:
        log.exception("What was paid for could not be tidied up just now")
