"""From a filled-in form to a new voice: the check of the recording, the run, its cancel and its result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import fields
from typing import Any

import gradio as gr

from clone.errors import CancelledError, TimbreError
from clone.settings import LOCAL
from clone.studio import Cloned
from clone.ui import listing, parts, words
from clone.ui.examples import example
from clone.ui.form import Form, Given
from clone.ui.outcomes import ResultPanel
from clone.ui.panels import CloserPanel, PreviewPanel, RunPanel, VoicePanel
from clone.ui.running import Desk, Progress, explain
from clone.ui.voices import VoicesPanel

Updates = dict[Any, Any]


class Cloning:
    """The handlers of the upper part of the page.

    Args:
        desk: studio, settings and files.
        voice, closer, preview, run, result, voices: the panels, for what belongs where.
    """

    def __init__(
        self,
        desk: Desk,
        inputs: tuple[VoicePanel, CloserPanel, PreviewPanel, RunPanel],
        outputs: tuple[ResultPanel, VoicesPanel],
    ) -> None:
        self._desk = desk
        self.voice, self.closer, self.preview, self.run = inputs
        self.result, self.voices = outputs
        self._slots = {
            "audio": self.voice.note,
            "audio_url": self.voice.note,
            "prompt_audio": self.closer.note,
            "prompt_text": self.closer.note,
            "text": self.preview.note,
            "model": self.preview.note,
            "accuracy": self.preview.advanced_note,
            "consent": self.run.consent_note,
            "api_key": self.run.hosting.key_note,
        }

    def given(self) -> list[Any]:
        """Return the inputs of ``check``: those of Given."""
        return [getattr(self.voice, each.name) for each in fields(Given)]

    def filled(self) -> list[Any]:
        """Return the inputs of ``clone``: those of Form."""
        closer, preview = self.closer, self.preview
        return [
            *self.given(),
            closer.audio,
            closer.text,
            preview.text,
            preview.model,
            preview.accuracy,
            preview.noise,
            preview.volume,
            self.run.consent,
            self.run.hosting.backend,
            self.run.hosting.key,
            self.voice.sample.use,
            self.voice.sample.start,
            self.voice.sample.length,
        ]

    def outputs(self) -> list[Any]:
        """Return everything ``clone`` may change."""
        slots = list(dict.fromkeys(self._slots.values()))
        result = self.result
        shown = [result.card, result.original, result.clone, result.voice_id, result.facts, self.voices.listed]
        return [*slots, self.closer.drawer, self.preview.drawer, *self._controls(), *shown]

    def listen(self, name: str | None) -> Any:
        """Show the player of the example that was chosen."""
        chosen = example(name)
        return gr.update(value=str(chosen.path) if chosen else None, visible=chosen is not None)

    def clone(self, request: gr.Request, token: str, *values: Any) -> Iterator[Updates]:
        """Clone; closing this closes the studio's work too."""
        form = Form(*values)
        self._desk.files.remember(request.session_hash, form.recorded, form.uploaded, form.prompt_audio)
        faults = form.faults()
        if faults:
            yield self._refused(faults)
            return
        progress = Progress()
        yield self._cleared() | self._running() | {self.run.progress: progress.told()}
        try:
            owner = self._desk.owner(token, request)
            with closing(self._desk.studio.clone(form.order(owner))) as steps:  # type: ignore[type-var]
                for step in steps:
                    if isinstance(step, Cloned):
                        yield self._idle() | self._shown(step, owner, request.session_hash)
                    else:
                        yield {self.run.progress: progress.told(step)}
        except CancelledError:
            yield self.cancelled(form.backend)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield self._refused([explain(error)])

    def cancelled(self, backend: str) -> Updates:
        """Return the page to rest after a cancel."""
        said = words.STOPPED if backend == LOCAL else words.STOPPED_HOSTED
        return self._idle() | {self.run.progress: parts.note("info", said)}

    def controls(self) -> list[Any]:
        """Return what ``cancelled`` changes."""
        return self._controls()

    def _controls(self) -> list[Any]:
        return [self.run.clone, self.run.cancel, self.run.progress]

    def _running(self) -> Updates:
        return {self.run.clone: gr.update(visible=False), self.run.cancel: gr.update(visible=True)}

    def _idle(self) -> Updates:
        return {
            self.run.clone: gr.update(visible=True),
            self.run.cancel: gr.update(visible=False),
            self.run.progress: "",
        }

    def _cleared(self) -> Updates:
        # What the check found stays: it is not a message about this run.
        return {slot: "" for slot in self._slots.values() if slot is not self.voice.note}

    def _refused(self, faults: Iterable[TimbreError]) -> Updates:
        updates = self._cleared() | self._idle()
        told_at: dict[Any, str] = {}
        for fault in faults:
            slot = self._slots.get(fault.field or "", self.run.progress)
            told_at[slot] = told_at.get(slot, "") + parts.refusal(fault)
        if self.closer.note in told_at:
            updates[self.closer.drawer] = gr.update(open=True)
        if self.preview.advanced_note in told_at:
            updates[self.preview.drawer] = gr.update(open=True)
        return updates | told_at

    def _shown(self, cloned: Cloned, owner: str, visit: str | None) -> Updates:
        voice, studio = cloned.voice, self._desk.studio
        players = {}
        for kind, player in (("reference", self.result.original), ("preview", self.result.clone)):
            if not any(name.startswith(f"{kind}.") for name in voice.files):
                players[player] = gr.update(value=None)
                continue
            source = studio.audio(voice.voice_id, owner, kind)
            name = f"timbre-{voice.voice_id}-{kind}{source.suffix}"
            players[player] = gr.update(value=str(self._desk.files.copy(visit, source, name)))
        return {
            **players,
            self.result.card: gr.update(visible=True),
            self.result.voice_id: voice.voice_id,
            self.result.facts: parts.result(voice, cloned.replayed, cloned.note),
            self.voices.listed: listing.voices(studio.voices(owner), studio.calls.keep_cost()),
        }
