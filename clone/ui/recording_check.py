"""What the page shows of a recording before it is cloned, and what may be chosen of it: a part, a clip, a cure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from clone.contract import cloning
from clone.core.errors import CancelledError
from clone.studio.facade import Examination
from clone.ui import fields, parts, strings
from clone.ui.fields import Updates
from clone.ui.form import Given, part
from clone.ui.running import Desk, explain
from clone.ui.tabs import Tab
from clone.ui.takes import Sound

Seconds = float | None
PART_S = 60.0
"""Length of the part that is offered where no better one is known."""


@dataclass(frozen=True)
class SamplePanel:
    """Beneath the recording: the part to clone from, and cures to hear before they are used."""

    part: gr.Column
    use: gr.Checkbox
    start: gr.Slider
    length: gr.Slider
    hear: gr.Button
    player: gr.HTML
    cures: gr.Column
    needs: gr.State
    cures_note: gr.HTML
    compare: gr.Button
    both: gr.HTML
    apply: gr.Button


def sample_panel() -> SamplePanel:
    """Build it, unseen until a recording was looked at."""
    with gr.Column(visible=False, elem_id="part", elem_classes="tb-inner") as part:
        use = gr.Checkbox(label=strings.PART_USE, info=strings.PART_HINT, elem_id="part-use")
        with gr.Row():
            start = gr.Slider(0, 1, 0, step=0.1, label=strings.PART_START, elem_id="part-start")
            length = gr.Slider(0, 1, 1, step=0.1, label=strings.PART_LENGTH, elem_id="part-length")
        hear = gr.Button(strings.PART_HEAR, elem_id="part-hear")
        player = fields.slot("part-player")
    with gr.Column(visible=False, elem_id="cures", elem_classes="tb-inner") as cures:
        needs = gr.State(())
        cures_note = fields.slot("cures-note")
        compare = gr.Button(strings.CURES_COMPARE, elem_id="cures-compare")
        both = gr.HTML(elem_id="cures-both", elem_classes="tb-slot")
        apply = gr.Button(strings.CURES_APPLY, visible=False, elem_id="cures-apply")
    return SamplePanel(part, use, start, length, hear, player, cures, needs, cures_note, compare, both, apply)


class RecordingCheck:
    """The handlers of a recording that is not cloned yet.

    Args:
        desk: studio, settings and files.
        panel: what is shown beneath the recording.
        note: where the report is.
    """

    def __init__(self, desk: Desk, panel: SamplePanel, note: gr.HTML) -> None:
        self._desk = desk
        self.panel = panel
        self._note = note

    def outputs(self) -> list[Any]:
        """Return everything ``check`` may change."""
        p = self.panel
        return [self._note, p.part, p.use, p.start, p.length, *self._cures(), p.needs, p.cures_note, p.player]

    def fetch(self, request: gr.Request, *values: Any) -> Iterator[Updates]:
        """Download what a link leads to; check() comes after it, and has turns that a slow server must not take."""
        given, visit = Given(*values), self._desk.visit(request)
        if not isinstance(given.audio(), str):
            yield {self._note: gr.skip()}
            return
        yield self._nothing() | {self._note: parts.note("busy", strings.DOWNLOADING)}
        tab, stop = self._desk.tabs.of(request.session_hash), self._desk.begin(visit, "fetch")
        if tab is not None:
            tab.checked = None
        try:
            self._desk.fetch(visit, str(given.check()), stop)
        except CancelledError:
            return
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield {self._note: parts.refusal(explain(error))}

    def fetch_once(self, request: gr.Request, *values: Any) -> Iterator[Updates]:
        """Download what a link leads to, unless that was done."""
        link = Given(*values).audio()
        if isinstance(link, str) and self._desk.files.known(self._desk.visit(request), link) is not None:
            yield {self._note: gr.skip()}
        else:
            yield from self.fetch(request, *values)

    def look_again(self, request: gr.Request, *values: Any) -> Iterator[Updates]:
        """Check what a page's tab had before it was loaded anew; what was given since has been checked."""
        tab = self._desk.tabs.of(request.session_hash)
        if tab is None or tab.given is None:
            yield {self._note: gr.skip()}
        else:
            yield from self.look(request, *values)

    def look(self, request: gr.Request, *values: Any) -> Iterator[Updates]:
        """Check what was given; a player that is drawn tells of a change with nothing in it, which says nothing."""
        if Given(*values).audio() is None:
            yield {self._note: gr.skip()}
        else:
            yield from self.check(request, *values)

    def check(self, request: gr.Request, *values: Any) -> Iterator[Updates]:
        """Say what is to be said about a recording as soon as it is there, and more as it becomes known."""
        given, visit, tab = Given(*values), self._desk.visit(request), self._desk.tabs.of(request.session_hash)
        self._desk.files.remember(visit, given.recorded, given.uploaded)
        link = given.audio()
        if tab is not None:
            tab.keep(given)
        if isinstance(link, str) and self._desk.files.known(visit, link) is None:
            yield {self._note: gr.skip()}  # fetch() has said why
            return
        found = self._found(tab, given)
        if found is not None:
            yield found
            return
        busy = parts.note("busy", strings.CHECKING) if given.audio() is not None else ""
        yield self._nothing() | {self._note: busy}
        if not busy:
            return
        stop = self._desk.begin(visit, "check")
        try:
            recording = self._desk.recording(visit, given.check())
            sound = Sound(self._desk.takes.lend(recording, visit), strings.YOURS)
            playing = given.source == strings.EXAMPLE
            yield {self._note: parts.player(sound, autoplay=playing) + busy}
            for seen in self._desk.studio.examine(recording, stop=stop):
                people = self._people(request, given, seen)
                shown = {self._note: parts.report(seen, sound, people)} | (self._offers(seen) if seen.complete else {})
                if tab is not None and seen.complete:
                    tab.checked, tab.part = (given, shown), None
                yield shown
        except CancelledError:
            return
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield self._nothing() | {self._note: parts.refusal(explain(error))}

    def forget(self, request: gr.Request) -> Updates:
        """Say and keep nothing any longer of a recording that was taken away."""
        self._desk.stop(self._desk.visit(request), "check")
        tab = self._desk.tabs.of(request.session_hash)
        if tab is not None:
            tab.given = tab.checked = None
        return self._nothing() | {self._note: ""}

    def mark(self, request: gr.Request, use: bool, start_s: Seconds, length_s: Seconds) -> None:
        """Keep which part is chosen."""
        tab = self._desk.tabs.of(request.session_hash)
        if tab is not None:
            tab.part = (use, start_s, length_s)

    def _found(self, tab: Tab | None, given: Given) -> Updates | None:
        """Return what was found out before about the same recording, with the part that was chosen since."""
        audio = given.audio()
        if tab is None or tab.checked is None or tab.checked[0] != given:
            return None
        if isinstance(audio, Path) and not audio.is_file():
            return None
        p, found = self.panel, self._nothing() | tab.checked[1]
        if tab.part is not None and p.start in found:
            use, start_s, length_s = tab.part
            found |= {p.use: use, p.start: found[p.start] | {"value": start_s}}
            found |= {p.length: found[p.length] | {"value": length_s}}
        return found

    def hear(self, request: gr.Request, start_s: Seconds, length_s: Seconds, *values: Any) -> Updates:
        """Play the part that is marked."""
        try:
            path = self._excerpt(request, Given(*values), part(True, start_s, length_s))[0]
            (sound,) = self._desk.sounds(self._desk.visit(request), (path, strings.PART_PLAYER, ""))
        except Exception as error:  # noqa: BLE001
            return {self._note: parts.refusal(explain(error))}
        return {self.panel.player: parts.player(sound, autoplay=True)}

    def compare(
        self, request: gr.Request, needs: tuple[str, ...], use: bool, start_s: Seconds, length_s: Seconds, *values: Any
    ) -> Updates:
        """Let it be heard as it is and as it would be with what is suggested."""
        given = Given(*values)
        p = self.panel
        try:
            bounds = part(use, start_s, length_s)
            before, _ = self._excerpt(request, given, bounds)
            after, changed = self._excerpt(request, given, bounds, noise="noise" in needs, volume="volume" in needs)
            names = (before, strings.CURES_BEFORE, ""), (after, strings.CURES_AFTER, "")
            sounds = self._desk.sounds(self._desk.visit(request), *names)
        except Exception as error:  # noqa: BLE001
            return {p.cures_note: parts.refusal(explain(error))}
        return {
            p.both: parts.compare(sounds),
            p.apply: gr.update(visible=any(round(each) for each in changed)),
            p.cures_note: parts.note("info", strings.cures(needs), strings.cured(*changed)),
        }

    def compared(self) -> list[Any]:
        """Return what ``compare`` may change."""
        p = self.panel
        return [p.both, p.apply, p.cures_note]

    def _excerpt(
        self,
        request: gr.Request,
        given: Given,
        bounds: tuple[float, float] | None,
        *,
        noise: bool = False,
        volume: bool = False,
    ) -> tuple[Path, tuple[float, float]]:
        heard = self._desk.studio.hear(
            self._desk.recording(self._desk.visit(request), given.check()), bounds, noise=noise, volume=volume
        )
        path = self._desk.files.new(self._desk.visit(request), "timbre-excerpt.wav")
        self._desk.studio.write_speech(heard, path)
        return path, (heard.noise_db, heard.gain_db)

    def _people(self, request: gr.Request, given: Given, seen: Examination) -> list[Sound]:
        """Return what is to be heard of each of several people."""
        paths = [self._excerpt(request, given, each.part or each.longest)[0] for each in seen.people]
        named = [(path, strings.PERSON.format("ABC"[i]), "") for i, path in enumerate(paths)]
        return self._desk.sounds(self._desk.visit(request), *named) if named else []

    def _offers(self, seen: Examination) -> Updates:
        p, duration_s = self.panel, seen.picture.duration_s
        refusal, found = seen.report.refusal(), seen.segment
        over = refusal is not None and refusal.is_cuttable
        updates: Updates = {}
        if found is not None or over or duration_s > PART_S:
            start_s, end_s = (found.start_s, found.end_s) if found else (0.0, min(PART_S, duration_s))
            longest_s = min(duration_s, cloning.REFERENCE_MAX_S)
            updates |= {
                p.part: gr.update(visible=True),
                p.use: over or (found is not None and seen.is_of_several),
                p.start: gr.update(value=round(start_s, 1), maximum=round(duration_s - cloning.REFERENCE_MIN_S, 1)),
                p.length: gr.update(
                    value=round(end_s - start_s, 1), minimum=cloning.REFERENCE_MIN_S, maximum=round(longest_s, 1)
                ),
            }
        needs = seen.report.cures()
        if needs:
            updates |= {p.cures: gr.update(visible=True), p.needs: needs}
            updates[p.cures_note] = parts.note("info", strings.cures(needs))
        return updates

    def _nothing(self) -> Updates:
        p = self.panel
        hidden = gr.update(visible=False)
        return {p.part: hidden, p.use: False, p.player: "", p.cures: hidden, p.apply: hidden, p.both: ""}

    def _cures(self) -> list[Any]:
        p = self.panel
        return [p.cures, p.both, p.apply]


class Prompting:
    """The handlers of the prompt clip and its transcript.

    Args:
        desk: studio, settings and files.
        audio, text, note: the clip, its transcript, and where it is said how well they match.
    """

    def __init__(self, desk: Desk, audio: gr.Audio, text: gr.Textbox, note: gr.HTML) -> None:
        self._desk = desk
        self.audio, self.text, self.note = audio, text, note

    def take(self, request: gr.Request, use: bool, start_s: Seconds, length_s: Seconds, *values: Any) -> Updates:
        """Cut a sentence out of the recording, with what is said in it."""
        try:
            recording = self._desk.recording(self._desk.visit(request), Given(*values).check())
            pair = self._desk.studio.prompt_pair(recording, part(use, start_s, length_s))
            path = self._desk.files.new(self._desk.visit(request), "prompt.wav")
            self._desk.studio.write_speech(pair, path)
        except Exception as error:  # noqa: BLE001
            return {self.note: parts.refusal(explain(error))}
        return {self.audio: str(path), self.text: pair.text, self.note: parts.note("info", strings.PROMPT_TAKEN)}

    def transcribe(self, request: gr.Request, audio: str | None) -> Updates:
        """Write down what is heard in the clip."""
        self._desk.files.remember(self._desk.visit(request), audio)
        if not audio:
            return {self.note: parts.note("refuse", *strings.NO_PROMPT)}
        try:
            return {self.text: self._desk.studio.match(Path(audio), None).heard, self.note: ""}
        except Exception as error:  # noqa: BLE001
            return {self.note: parts.refusal(explain(error))}

    def compare(self, request: gr.Request, audio: str | None, text: str | None, accuracy: float) -> str:
        """Say how well the transcript fits what is heard."""
        tab = self._desk.tabs.of(request.session_hash)
        if tab is not None and len(text or "") <= cloning.PROMPT_TEXT_MAX_CHARS:
            tab.prompt = (audio, text or "")
        self._desk.files.remember(self._desk.visit(request), audio)
        if not audio or not (text or "").strip():
            return ""
        try:
            return parts.match(self._desk.studio.match(Path(audio), text), accuracy)
        except Exception as error:  # noqa: BLE001
            return parts.refusal(explain(error))
