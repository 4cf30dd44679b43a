"""From a filled-in form to a new voice: the check of the recording, the run, its cancel and its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from clone.core.errors import CancelledError, PromptMismatch, TimbreError, VoiceError
from clone.core.settings import LOCAL
from clone.studio.facade import Cloned, CloneOrder
from clone.ui import fields, parts, strings
from clone.ui.fields import Updates
from clone.ui.form import Form, Given
from clone.ui.panels import CloserPanel, PreviewPanel, RunPanel, VoicePanel
from clone.ui.result import Comparing, ResultPanel
from clone.ui.running import Desk, Progress, explain, share
from clone.ui.tabs import Run
from clone.ui.voices_tab import VoicesPanel

_KIND = "clone"


class CloneTab:
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
        self._comparing = Comparing(desk, self.result)
        self._slots = {
            "audio": self.voice.note,
            "audio_url": self.voice.note,
            "prompt_audio": self.closer.note,
            "prompt_text": self.closer.note,
            "text": self.preview.note,
            "model": self.preview.note,
            "language": self.preview.note,
            "accuracy": self.preview.advanced_note,
            "consent": self.run.consent_note,
            "api_key": self.run.backend_choice.key_note,
        }

    def given(self) -> list[Any]:
        """Return the inputs of ``check``: those of Given."""
        return [getattr(self.voice, each.name) for each in dataclasses.fields(Given)]

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
            self.run.backend_choice.backend,
            self.run.backend_choice.key,
            self.voice.sample.use,
            self.voice.sample.start,
            self.voice.sample.length,
            preview.language.choice,
            preview.name,
        ]

    def outputs(self) -> list[Any]:
        """Return everything ``clone`` may change."""
        slots = list(dict.fromkeys(self._slots.values()))
        result = self.result
        shown = [result.card, result.form, *self._comparing.showing(), result.voice_id, result.facts]
        shown += [result.said, result.shared, self.voices.listed]
        notes = [*slots, self.preview.language.said, self.closer.drawer, self.preview.drawer, self.run.progress]
        return [*notes, *self.buttons(), *shown]

    def arrive(self, request: gr.Request, token: str, secret: str | None) -> Updates:
        """Show what the page's tab had before it was loaded anew; a clone is joined after this."""
        tab = self._desk.tabs.arrive(request.session_hash, secret)
        updates: Updates = {self.run.joined: gr.skip()}
        if tab is None:
            return updates
        if tab.given is not None:
            shown = {getattr(self.voice, name): value for name, value in vars(tab.given).items()}
            for player in (self.voice.recorded, self.voice.uploaded):
                shown[player] = _if_there(shown[player])
            updates |= shown
        clip = _if_there(tab.prompt[0])
        if clip:
            closer = self.closer
            updates |= {closer.audio: clip, closer.text: tab.prompt[1], closer.drawer: gr.update(open=True)}
            updates |= {self.preview.drawer: gr.update(open=True)}
        if tab.run is not None and not tab.run.is_past:
            updates[self.run.joined] = request.session_hash
        return updates

    def arriving(self) -> list[Any]:
        """Return what ``arrive`` may change."""
        closer = self.closer
        return [*self.given(), closer.audio, closer.text, closer.drawer, self.preview.drawer, self.run.joined]

    def clone(self, request: gr.Request, token: str, *values: Any) -> Iterator[Updates]:
        """Clone, until somebody asks the run to stop; it outlives this where the page's tab may come back to it."""
        form, visit, tab = Form(*values), self._desk.visit(request), self._desk.tabs.of(request.session_hash)
        self._desk.files.remember(visit, form.recorded, form.uploaded, form.prompt_audio)
        faults = [*form.faults(), *self._mismatch(form)]
        if faults:
            yield self._refused(faults)
            return
        try:
            run = Run(self._desk.owner(token, request), self._desk.begin(visit, _KIND))
        except TimbreError as error:
            yield self._refused([error])
            return
        if tab is not None:
            tab.run = run
        run.begin(self._work(form, run, visit))
        try:
            yield from run.follow()
        finally:
            if tab is None:
                run.stop.ask()

    def rejoin(self, request: gr.Request, token: str) -> Iterator[Updates]:
        """Follow the clone that was under way in this tab when its page was loaded anew, or show what came of it."""
        tab = self._desk.tabs.of(request.session_hash)
        run = tab.run if tab is not None else None
        try:
            if tab is None or run is None or run.is_past or run.owner != self._desk.owner(token, request):
                yield {self.run.progress: gr.skip()}
            elif run.over and run.outcome is not None:
                voice = self._desk.studio.voice(run.outcome.voice.voice_id, run.owner)
                self._desk.files.forget(tab.name, about=voice.voice_id)
                yield self._shown(replace(run.outcome, voice=voice), run.owner, tab.name)
            else:
                yield from run.follow()
        except VoiceError:  # it was forgotten since
            yield {self.run.progress: gr.skip()}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield self._refused([explain(error)])

    def _work(self, form: Form, run: Run, visit: str | None) -> Iterator[Updates]:
        progress = Progress()
        running = {self.run.clone: gr.update(visible=False), self.run.cancel: gr.update(visible=True)}
        yield self._cleared() | running | {self.run.progress: progress.shown()}
        try:
            order = self._order(form, run.owner, visit)
            with closing(self._desk.studio.clone(order)) as steps:  # type: ignore[type-var]
                for step in steps:
                    if isinstance(step, Cloned):  # what is done is shown, even to who asked to stop
                        run.outcome = step
                        yield {self.run.progress: ""} | self._shown(step, run.owner, visit)
                    else:
                        run.stop.check()
                        yield {self.run.progress: progress.shown(step)}
        except CancelledError:
            said = strings.STOPPED if form.backend == LOCAL else strings.STOPPED_HOSTED
            yield {self.run.progress: parts.note("info", said)}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield self._refused([explain(error)])

    def stop(self, request: gr.Request) -> None:
        """Ask the run to stop."""
        self._desk.stop(self._desk.visit(request), _KIND)

    def compare(self, request: gr.Request, token: str, voice_id: str | None) -> Updates:
        """Say which words are heard in the preview."""
        if not voice_id:  # nothing came of it
            return {self.result.said: ""}
        try:
            return {self.result.said: parts.said(self._desk.studio.compare(voice_id, self._desk.owner(token, request)))}
        except VoiceError:  # it has no preview, or is gone: then there is nothing to compare
            return {self.result.said: ""}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {self.result.said: parts.refusal(explain(error))}

    def change(self) -> Updates:
        """Go back from the new voice to what it was made with."""
        return {self.result.form: gr.update(visible=True), self.result.card: gr.update(visible=False)}

    def changing(self) -> list[Any]:
        """Return what ``change`` changes."""
        return [self.result.form, self.result.card]

    def share(self, request: gr.Request, token: str, voice_id: str | None) -> str:
        """Make the card of the new voice, and return the link to it."""
        return share(self._desk, request, token, voice_id or "")

    def _mismatch(self, form: Form) -> list[TimbreError]:
        """Return what is known to be wrong with the transcript: what the page has said already, beside it."""
        try:
            if form.prompt_audio and form.prompt_text:
                self._desk.studio.check_prompt(Path(form.prompt_audio), form.prompt_text, float(form.accuracy))
        except PromptMismatch as error:
            return [error]
        except (ValueError, TypeError):  # a fault of the form
            pass
        return []

    def _order(self, form: Form, owner: str, visit: str | None) -> CloneOrder:
        given = form.given.check()
        # The hosted service gets a link as it was given, and downloads it itself; a part of it goes there as a file.
        untouched = form.backend != LOCAL and not form.part
        if not untouched and isinstance(given, str):  # what was looked at, if it is still there
            given = self._desk.files.known(visit, given) or given
        return form.order(owner, given)

    def buttons(self) -> list[Any]:
        """Return what starts a run, and what cancels it."""
        return [self.run.clone, self.run.cancel]

    def _cleared(self) -> Updates:
        # What the check found stays: it is not a message about this run.
        return {slot: "" for slot in self._slots.values() if slot is not self.voice.note}

    def _refused(self, faults: Iterable[TimbreError]) -> Updates:
        updates = self._cleared() | {self.run.progress: ""}
        refusals: dict[Any, str] = {}
        for fault in faults:
            slot = self._slots.get(fault.field or "", self.run.progress)
            if fault.code in fields.REFUSALS:
                slot = self.preview.language.said
            refusals[slot] = refusals.get(slot, "") + parts.refusal(fault)
        if self.closer.note in refusals:
            updates[self.closer.drawer] = gr.update(open=True)
        if {self.closer.note, self.preview.advanced_note, self.run.backend_choice.key_note} & refusals.keys():
            updates[self.preview.drawer] = gr.update(open=True)
        return updates | refusals

    def _shown(self, cloned: Cloned, owner: str, visit: str | None) -> Updates:
        voice, studio = cloned.voice, self._desk.studio
        return {
            self.result.card: gr.update(visible=True),
            self.result.form: gr.update(visible=False),
            self.result.voice_id: voice.voice_id,
            self.result.said: "",
            self.result.shared: "",
            self.result.facts: parts.result(voice, cloned.replayed, cloned.note),
            self.voices.listed: parts.voices(studio.voices(owner), studio.keep_cost()),
        } | self._comparing.shown(voice, visit)


def _if_there(path: str | None) -> str | None:
    return path if path and Path(path).is_file() else None
