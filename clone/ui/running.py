"""What every handler of the page shares: who asks, how far a job is, and what to say when it fails."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import gradio as gr

from clone.core import watch
from clone.core.errors import AudioError, TimbreError, disk_full
from clone.core.jobs import Stage, Stop
from clone.studio.facade import Studio, Voice, Waiting
from clone.ui import parts, strings
from clone.ui.files import VisitFiles
from clone.ui.tabs import Tab, Tabs
from clone.ui.takes import Sound, Takes, file_name
from clone.ui.visitors import Owners, header_pairs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desk:
    """What the handlers work with."""

    studio: Studio
    owners: Owners
    files: VisitFiles
    takes: Takes
    tabs: Tabs = field(default_factory=Tabs)
    stops: WeakValueDictionary[tuple[str | None, str], Stop] = field(default_factory=WeakValueDictionary)
    """By visit and kind, how to stop what runs; each is held by its run, and gone with it."""

    def owner(self, token: object, request: gr.Request) -> str:
        """Return whom a request speaks for; what is done for it goes by its id."""
        watch.follow(request.headers.get(watch.HEADER))
        return self.owners.of(token, header_pairs(request.headers))

    def visit(self, request: gr.Request) -> str | None:
        """Return by what name a visitor's things are kept that outlive a reload of the page."""
        return self.tabs.name(request.session_hash)

    def begin(self, visit: str | None, kind: str) -> Stop:
        """Return what a run of this kind has to obey, for as long as it holds it; an earlier one is stopped."""
        self.stop(visit, kind)
        stop = Stop()
        self.stops[visit, kind] = stop
        return stop

    def stop(self, visit: str | None, kind: str) -> None:
        """Ask a visit's run of this kind to stop, if there is one."""
        running = self.stops.get((visit, kind))
        if running is not None:
            running.ask()

    def leave(self, page: str | None) -> Tab | None:
        """Stop what a page left running, but for its clone, and remove its files; return its tab, which may come back.

        What belongs to the tab stays until ``end``.
        """
        tab = self.tabs.leave(page)
        kept = tab.run.stop if tab is not None and tab.run is not None else None
        names = {page, tab.name} if tab is not None else {page}
        for running in [stop for (visit, _), stop in self.stops.items() if visit in names and stop is not kept]:
            running.ask()
        self.files.forget(page)
        return tab

    def end(self, tab: Tab) -> bool:
        """Stop and remove all of a tab that nobody came back to; tell whether that was so."""
        if not self.tabs.end(tab):
            return False
        self.stop(tab.name, "clone")
        self.files.forget(tab.name)
        return True

    def fetch(self, visit: str | None, link: str, stop: Stop) -> Path:
        """Download the recording of a link for a visit, whatever is known of it."""
        get = partial(self.studio.download, link, owner=f"visit {visit}", stop=stop)
        return self.files.fetched(visit, link, get, anew=True)

    def sounds(self, visit: str | None, *files: tuple[Path, str, str]) -> list[Sound]:
        """Return files of a visit as the page plays them, at one loudness, each with its name and what it is saved as.

        Raises:
            AudioError: a file can't be read.
        """
        drawn = self.studio.outlines(*(path for path, _, _ in files))
        return [
            Sound(self.takes.lend(path, visit), name, each.duration_s, each.points, each.quieter_db, saved_as)
            for (path, name, saved_as), each in zip(files, drawn, strict=True)
        ]

    def sample(self, visit: str | None, voice: Voice, kind: str = "") -> tuple[Path, str, str]:
        """Return a copy of a voice's preview or recording for a visit, with its name and what it is saved as.

        Args:
            visit: whose copy.
            voice: which.
            kind: ``preview`` or ``reference``; by default its preview, where it has one.

        Raises:
            VoiceError: it is gone, or has no such recording.
        """
        kind = kind or ("preview" if voice.file("preview") else "reference")
        source = self.studio.audio(voice.voice_id, voice.owner, kind)
        label = strings.player(kind, voice.name or strings.UNNAMED)
        name = file_name(source.suffix[1:], label)
        return self.files.copy(visit, source, name, voice.voice_id), label, name

    def recording(self, visit: str | None, audio: Path | str) -> Path:
        """Return the file of a recording; of a link, what this visit has downloaded.

        Raises:
            AudioError: ``recording_gone``.
        """
        found = audio if isinstance(audio, Path) else self.files.known(visit, audio)
        if found is None:
            gone = strings.RECORDING_GONE, strings.RECORDING_GONE_ADVICE
            raise AudioError(gone[0], code="recording_gone", field="audio", advice=gone[1])
        return found


_TELLING = 2
"""How many steps must be done to tell from them how long the rest takes."""


class Progress:
    """The progress of one run, worded once per step: what stays the same is not shown, or read aloud, again."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._step: Stage | Waiting | None = None
        self._shown = parts.progress(strings.STARTING)
        self._first: tuple[Stage, float] | None = None

    def shown(self, step: Stage | Waiting | None = None) -> str:
        """Return a step as the progress to show; without one, that the run starts."""
        if step is not None and step != self._step:
            self._step = step
            elapsed_s = time.monotonic() - self._started_s
            if isinstance(step, Waiting):
                self._shown = parts.progress(strings.waiting(step.position), elapsed_s=elapsed_s)
            else:
                self._shown = parts.progress(step.name, step.done, step.total, elapsed_s, self._left_s(step, elapsed_s))
        return self._shown

    def _left_s(self, step: Stage, elapsed_s: float) -> float | None:
        """Return about how much longer it takes, by how long it took; None where that can't be told yet."""
        if not step.even:
            return None
        if self._first is None or self._first[0].total != step.total:
            self._first = step, elapsed_s
        first, began_s = self._first
        n_done = step.done - first.done
        return (elapsed_s - began_s) / n_done * (step.total - step.done) if n_done >= _TELLING else None


def ending_quietly(handler: Callable[..., Iterator[Any]], output: Any) -> Callable[..., Iterator[Any]]:
    """Return a handler whose last word changes nothing.

    The framework says the last word of a run once more when the run is over; whoever has gone on meanwhile, from what
    came of it back to the form, would be taken back by it.
    """

    @wraps(handler)
    def quietly(*args: Any) -> Iterator[Any]:
        yield from handler(*args)
        yield {output: gr.skip()}

    return quietly


def address(request: gr.Request) -> str:
    """Return the address by which a visitor reaches this app, without a slash at the end."""
    assert request.request is not None, "only while a visitor asks"
    url = urlsplit(str(request.request.url))
    return f"{url.scheme}://{url.netloc}"


def explain(error: Exception) -> TimbreError:
    """Return what a person is shown of an error; what we did not expect is logged, without its message.

    The message of an unexpected exception may hold a path or what somebody typed: only its kind and place are kept.
    """
    known = disk_full(error) or error
    watch.ERRORS.labels(getattr(known, "code", "") or "unexpected").inc()
    if isinstance(known, TimbreError):
        return known
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error("Unexpected %s\n%s", type(error).__name__, places)
    return TimbreError(strings.UNEXPECTED, code="unexpected", advice=strings.UNEXPECTED_ADVICE)


def refused(error: Exception) -> str:
    """Return what to say, and where the key is entered if that is what is missing."""
    known = explain(error)
    return parts.refusal(known) + (parts.note("info", strings.KEY_WHERE) if known.field == "api_key" else "")


def share(desk: Desk, request: gr.Request, token: str, voice_id: str) -> str:
    """Make a voice's card, and return the link to it, or why there is none."""
    try:
        owner = desk.owner(token, request)
        data, name = desk.studio.card(voice_id, owner), desk.studio.voice(voice_id, owner).name or strings.UNNAMED
        path = desk.files.new(request.session_hash, f"timbre-{voice_id}.html")
        path.write_bytes(data)
    except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
        return parts.refusal(explain(error))
    return parts.file_link(
        desk.takes.lend(path, request.session_hash), file_name("html", name), strings.SAVE_CARD.format(name)
    )
