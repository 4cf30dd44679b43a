"""The Speak place: any of the visitor's voices says any text, heard from its first sentence on; and what it said."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from clone.contract import cloning, speech
from clone.core.errors import CancelledError, TextError, TimbreError, VoiceError
from clone.core.jobs import Stop
from clone.core.settings import NOVITA
from clone.storage.voice import Voice
from clone.studio.facade import Document, Passage, SpeakOrder
from clone.ui import fields, parts, strings
from clone.ui.batch_panel import BatchPanel, batch_panel
from clone.ui.document_panel import DocumentPanel, document_panel, recalled, said_of
from clone.ui.fields import REFUSALS, LanguagePanel, Updates, language_line, language_panel
from clone.ui.running import Desk, Progress, explain, refused
from clone.ui.takes import Recorder, Take
from clone.ui.theme import static

Takings = tuple[Take, ...]
TAKES_SHOWN = 50
_KIND = "speak"


def _ended(take: Take, recorder: Recorder, document: Document | None) -> Take:
    duration_s, points = recorder.end()
    return replace(
        take, duration_s=duration_s, points=points, document_id=document.document_id if document is not None else ""
    )


@dataclass(frozen=True)
class SpeakPanel:
    """The Speak place."""

    voice: gr.Dropdown
    text: gr.Textbox
    counter: gr.HTML
    model: gr.Dropdown
    speed: gr.Slider
    pitch: gr.Slider
    volume: gr.Slider
    format: gr.Radio
    language: LanguagePanel
    cost: gr.HTML
    speak: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    latest: gr.HTML
    done: gr.HTML
    takes: gr.State
    earlier: gr.HTML
    file: gr.UploadButton
    pause: gr.Button
    hear: gr.Button
    heard: gr.HTML
    dialogue: gr.Checkbox
    how: gr.Accordion
    readings: tuple[gr.Textbox, gr.Textbox]
    read_as: gr.Textbox
    joined: gr.Textbox
    document: DocumentPanel
    batch: BatchPanel

    def said(self) -> list[Any]:
        """Return what is asked for, in the order ``speak`` takes it."""
        settings = [self.speed, self.pitch, self.volume, self.format]
        return [self.voice, self.text, self.model, *settings, self.language.choice, self.dialogue, self.read_as]


def speak_panel() -> SpeakPanel:
    """Build: voice, text, settings and the button; beside them the take that is spoken, and the earlier ones."""
    with gr.Column(elem_id="write"):
        with fields.card():
            gr.HTML(parts.heading(strings.SPEAK_TITLE, strings.SPEAK_ADVICE))
            with gr.Row(elem_classes="tb-pair"):
                voice = gr.Dropdown([], label=strings.SPEAK_VOICE, elem_id="speak-voice")
                hear = gr.Button(strings.SPEAK_HEAR, elem_id="speak-hear")
            heard = fields.slot("speak-heard")
            text = gr.Textbox(strings.TEXT_START, label=strings.SPEAK_TEXT, lines=6, max_lines=16, elem_id="speak-text")
            with gr.Row(elem_classes="tb-under"):
                line = fields.slot("speak-language-said")
                counted = parts.counter(len(strings.TEXT_START), cloning.SPEECH_TASK_MAX_CHARS)
                counter = gr.HTML(counted, elem_id="speak-count")
            with gr.Row(elem_classes="tb-tools"):
                file = gr.UploadButton(
                    strings.OPEN_TEXT,
                    file_types=[".txt", ".md", ".srt", ".vtt", ".epub"],
                    size="sm",
                    elem_id="open-text",
                )
                pause = gr.Button(strings.PAUSE_BUTTON, size="sm", elem_id="pause")
            dialogue = gr.Checkbox(label=strings.DIALOGUE, visible=False, elem_id="dialogue")
            language = language_panel("speak-language", line)
            model = fields.model_choice("speak-model")
            with gr.Accordion(strings.SPEAK_HOW, open=False, elem_id="speak-how", elem_classes="tb-drawer") as how:
                with gr.Row():
                    speed = gr.Slider(
                        speech.SPEED_MIN, speech.SPEED_MAX, 1.0, step=0.05, label=strings.SPEED, elem_id="speak-speed"
                    )
                    pitch = gr.Slider(
                        speech.PITCH_MIN, speech.PITCH_MAX, 0, step=1, label=strings.PITCH, elem_id="speak-pitch"
                    )
                with gr.Row():
                    volume = gr.Slider(
                        0.1, speech.VOLUME_MAX, 1.0, step=0.1, label=strings.GAIN, elem_id="speak-volume"
                    )
                    kind = gr.Radio(list(strings.FORMATS), value="mp3", label=strings.FORMAT, elem_id="speak-format")
                with gr.Row():
                    own, of_all = (
                        gr.Textbox(label=label, info=strings.READINGS_HINT, lines=2, max_lines=8, elem_id=name)
                        for label, name in zip(strings.READINGS, ("readings-own", "readings-all"), strict=True)
                    )
            # What is in a drawer that was never opened is not drawn, and takes in nothing.
            read_as = gr.Textbox(visible="hidden", elem_id="read-as")
            cost = fields.slot("speak-cost")
            speak = gr.Button(strings.SPEAK_BUTTON, variant="primary", size="lg", elem_id="speak")
            with gr.Column(elem_classes="tb-playbar"):
                progress = fields.slot("speak-progress")
                latest = gr.HTML(elem_id="take", elem_classes="tb-slot")
                gr.HTML(parts.render("where"), elem_id="where", elem_classes="tb-slot")
                done = fields.slot("take-done")
                cancel = gr.Button(
                    strings.CANCEL, variant="stop", visible=False, elem_id="speak-cancel", elem_classes="tb-calm"
                )
            batch = batch_panel()
        document = document_panel(latest, done)
        joined = gr.Textbox(visible=False)
        with fields.card():
            takes = gr.State(())
            earlier = gr.HTML(parts.takes(()), js_on_load=static("takes.js"), elem_id="takes")
    inputs = (voice, text, counter, model, speed, pitch, volume, kind, language)
    outputs = (cost, speak, cancel, progress, latest, done, takes, earlier)
    return SpeakPanel(
        *inputs, *outputs, file, pause, hear, heard, dialogue, how, (own, of_all), read_as, joined, document, batch
    )


class Speaking:
    """The handlers of the Speak place.

    Args:
        desk: studio, settings and files.
        panel: the components.
        kind: of its runs; of each kind a visit has one at a time.
    """

    def __init__(self, desk: Desk, panel: SpeakPanel, kind: str = _KIND) -> None:
        self._desk = desk
        self.panel = panel
        self._kind = kind

    def outputs(self) -> list[Any]:
        """Return everything ``speak`` and ``rejoin`` may change."""
        p, d = self.panel, self.panel.document
        shown = [p.progress, p.language.said, p.latest, p.done, p.takes, p.earlier, p.text, p.voice, p.model]
        return [*self.buttons(), *shown, d.which, d.card, d.listed, d.times]

    def buttons(self) -> list[Any]:
        """Return what starts a run, and what cancels it."""
        return [self.panel.speak, self.panel.cancel]

    def choosing(self) -> list[Any]:
        """Return what ``choose`` and ``unchoose`` change."""
        return [self.panel.voice, self.panel.heard]

    def choose(self, voice: Voice) -> Updates:
        """Have a voice chosen."""
        choices = self.choices(self._desk.studio.voices(voice.owner), voice.voice_id)
        return {self.panel.voice: choices, self.panel.heard: ""}

    def unchoose(self) -> Updates:
        """Have no voice chosen; the place lists the voices anew when it is opened."""
        return {self.panel.voice: None, self.panel.heard: ""}

    def hear(self, request: gr.Request, token: str, chosen: str | None) -> str:
        """Play the chosen voice: its preview, or the recording it is from."""
        try:
            owner = self._desk.owner(token, request)
            if not chosen:
                raise _no_voice()
            voice = self._desk.studio.voice(chosen, owner)
            (sound,) = self._desk.sounds(request.session_hash, self._desk.sample(request.session_hash, voice))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return parts.refusal(explain(error))
        return parts.player(replace(sound, saved_as=""), autoplay=True, named=True)

    def offer(self, request: gr.Request, token: str, chosen: str | None) -> Any:
        """List the visitor's voices to choose from, the newest chosen where none is."""
        try:
            voices = self._desk.studio.voices(self._desk.owner(token, request))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            known = explain(error)
            if known.code != "no_visitor":
                return gr.update(choices=[], value=None, info=known.message)
            voices = []  # who has just come has no token yet, and no voices
        return self.choices(voices, chosen)

    def carry(self, request: gr.Request, token: str, chosen: str | None, text: str | None) -> Updates:
        """Go on here with a voice, and with a text where one is written elsewhere."""
        written = text if (text or "").strip() else gr.skip()
        return {self.panel.voice: self.offer(request, token, chosen), self.panel.text: written}

    def choices(self, voices: list[Voice], chosen: str | None) -> Any:
        """Return the choice of voices, with one chosen."""
        there = [voice.voice_id for voice in voices]
        value = chosen if chosen in there else there[0] if there else None
        named = [(strings.voice_choice(voice.name, voice.voice_id, voice.backend), voice.voice_id) for voice in voices]
        hint = strings.SPEAK_VOICE_HINT if voices else strings.SPEAK_NO_VOICES
        return gr.update(choices=named, value=value, info=hint)

    def speak(self, request: gr.Request, token: str, key: str | None, takes: Takings, *said: Any) -> Iterator[Updates]:
        """Say a text, as ``SpeakPanel.said`` asks for it, until somebody asks the run to stop.

        What a voice of this machine says is said on when the page is loaded anew, until ``rejoin`` follows it.
        ``takes`` is what was said before, newest first.
        """
        stop = self._desk.begin(request.session_hash, self._kind)  # before the button that asks for it is there
        yield self._started(takes) | {self.panel.document.which: ""}
        try:
            order, kind = self._order(self._desk.owner(token, request), key, *said)
            if self._hosted(order.voice_id, order.owner):
                events = self._desk.studio.say(order)
            else:
                document = self._desk.studio.begin_document(order)
                events = self._desk.studio.speak_document(document.document_id, order.owner)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield self._failed(error)
            return
        yield from self._follow(request, takes, (order, kind), events, stop)

    def under_way(self, request: gr.Request, token: str) -> tuple[Any, Any]:
        """Return what is spoken in the page's tab, to be joined, and the place to see it, while it goes on."""
        tab = self._desk.tabs.of(request.session_hash)
        try:
            if tab and tab.spoken and self._desk.studio.is_speaking(tab.spoken, self._desk.owner(token, request)):
                return f"{tab.spoken} {request.session_hash}", gr.Tabs(selected="speak")
        except TimbreError:  # who has just come has said nothing yet
            pass
        return gr.skip(), gr.skip()

    def rejoin(self, request: gr.Request, token: str, takes: Takings, joined: str) -> Iterator[Updates]:
        """Follow what was spoken in this tab when its page was loaded anew."""
        stop = self._desk.begin(request.session_hash, self._kind)
        yield self._started(takes)
        try:
            owner, which = self._desk.owner(token, request), joined.partition(" ")[0]
            found = self._desk.studio.document(which, owner)
            order = SpeakOrder(owner, found.voice_id, found.text, found.model, found.settings, speakers=found.speakers)
            events = self._desk.studio.speak_document(which, owner)
            chosen = self.choices(self._desk.studio.voices(owner), found.voice_id)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield self._failed(error)
            return
        yield {self.panel.text: found.text, self.panel.voice: chosen, self.panel.model: found.model}
        yield from self._follow(request, takes, (order, strings.FORMATS[0]), events, stop)

    def _started(self, takes: Takings) -> Updates:
        p = self.panel
        return self._running() | {
            p.progress: Progress().shown(),
            p.latest: "",
            p.done: "",
            p.earlier: parts.takes(takes),
        }

    def _running(self) -> Updates:
        return {self.panel.speak: gr.update(visible=False), self.panel.cancel: gr.update(visible=True)}

    def _follow(
        self,
        request: gr.Request,
        takes: Takings,
        asked: tuple[SpeakOrder, str],
        events: Generator[Any, None, None],
        stop: Stop,
    ) -> Iterator[Updates]:
        """Say what is going on while a text is spoken, and play it from its first sentence on."""
        p, progress, order = self.panel, Progress(), asked[0]
        recorder: Recorder | None = None
        document: Document | None = None
        times: list[tuple[int, float]] = []
        try:
            take, begin = self._begin(*asked, request.session_hash)
            with closing(events):
                for event in events:
                    if isinstance(event, Document):
                        document = event
                        yield self._kept(request, event, begun=not recorder)
                        continue
                    if not (isinstance(event, Passage) and self._hosted(order.voice_id, order.owner)):
                        self._check(stop, request, document)  # what is paid for is shown, even to who asked to stop
                    if not isinstance(event, Passage):
                        yield {p.progress: progress.shown(event)}
                        continue
                    if recorder is None:
                        recorder = begin()
                        take = replace(take, key=self._desk.takes.begin(recorder, request.session_hash))
                    if event.sentence_id is not None and event.sentence_id not in dict(times):
                        times.append((event.sentence_id, recorder.duration_s))
                        if self._kind == _KIND:
                            yield {p.document.times: parts.times(times)}
                    recorder.add(event.samples, event.sample_rate)
                    if not take.duration_s:
                        take = replace(take, duration_s=len(event.samples) / event.sample_rate)
                        yield {p.latest: parts.take(take)}
            assert recorder is not None, "a text without a sentence is refused"
            take = _ended(take, recorder, document)
            kept = (take, *takes)[:TAKES_SHOWN]
            yield {p.progress: "", p.done: parts.take_done(take), p.takes: kept}
        except CancelledError:
            if recorder is not None and document is not None:  # what was spoken is kept, and gone on with
                document = self._desk.studio.document(document.document_id, order.owner)
                take = replace(_ended(take, recorder, document), said=said_of(document))
                yield {p.done: parts.take_done(take), p.takes: (take, *takes)[:TAKES_SHOWN]}
                yield {p.document.which: take.document_id}
                yield {p.progress: parts.note("info", strings.STOPPED_SAID.format(take.said), strings.GO_ON)}
                return
            paid = self._hosted(order.voice_id, order.owner)
            said = parts.note("info", strings.STOPPED_PAID if paid else strings.STOPPED)
            yield {p.progress: said, p.document.which: ""}
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            yield self._failed(error)
        finally:
            if recorder is not None and not recorder.done.is_set():
                recorder.end()

    def _kept(self, request: gr.Request, document: Document, *, begun: bool) -> Updates:
        """Note which document is spoken in a tab; show its sentences from the start."""
        tab, d = self._desk.tabs.of(request.session_hash), self.panel.document
        if self._kind != _KIND:  # said elsewhere on the page, where no sentences are shown
            return {d.which: document.document_id}
        if tab is not None:
            tab.spoken = document.document_id if begun else ""
        if not begun:
            return {d.which: document.document_id}
        said = self._desk.studio.sentences(document.document_id, document.owner)
        shown = {d.card: gr.update(visible=True), d.listed: parts.sentences(document, said, spoken=False)}
        return self._running() | shown | {d.which: document.document_id}

    def _check(self, stop: Stop, request: gr.Request, document: Document | None) -> None:
        """End what is spoken where somebody asked for that; a page that is loaded anew comes back for it."""
        if stop.asked and document is not None and not self._desk.tabs.has_left(request.session_hash):
            self._desk.studio.stop_document(document.document_id, document.owner)
        stop.check()

    def _failed(self, error: Exception) -> Updates:
        p = self.panel
        of_language = isinstance(error, TextError) and error.code in REFUSALS
        return {p.progress: "", p.language.said: refused(error)} if of_language else {p.progress: refused(error)}

    def look(self, request: gr.Request, token: str, chosen: str | None, *said: Any) -> Updates:
        """Say of a text while it is written: which language it is in, what it may cost, whether it is a dialogue."""
        (text, model, language), p = said, self.panel
        line, cost = language_line(self._desk.studio, text, language), self._cost(request, token, chosen, text, model)
        return {p.language.said: line, p.cost: cost, p.dialogue: self._dialogue(request, token, text)}

    def _cost(self, request: gr.Request, token: str, chosen: str | None, text: str | None, model: str | None) -> str:
        """Say what speaking with the chosen voice may cost; nothing where it is free."""
        try:
            if not (chosen and self._hosted(chosen, self._desk.owner(token, request))):
                return ""
            return parts.line(self._desk.studio.speech_cost(text or "", cloning.check_model(model or "")))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return parts.refusal(explain(error))

    def _dialogue(self, request: gr.Request, token: str, text: str | None) -> Any:
        """Offer to read a text as a dialogue where lines of it begin with names of the visitor's voices."""
        try:
            text = cloning.check_text(text or "", cloning.SPEECH_TASK_MAX_CHARS)
            found = self._desk.studio.dialogue(text, self._desk.owner(token, request))
        except TimbreError:  # it is refused when it is to be spoken
            found = []
        lines = strings.DIALOGUE_LINES.format(", ".join(f"{each.name}: {each.n_lines}" for each in found))
        return gr.update(visible=True, info=lines) if found else gr.update(visible=False, value=False)

    def stop(self, request: gr.Request) -> None:
        """Ask the run to stop."""
        self._desk.stop(request.session_hash, self._kind)

    def _order(self, owner: str, key: str | None, *said: Any) -> tuple[SpeakOrder, str]:
        voice_id, text, model, speed, pitch, volume, kind, language, dialogue, read_as = said
        if not voice_id:
            raise _no_voice()
        setting = cloning.parse(
            speech.VoiceSetting,
            {"voice_id": str(voice_id), "speed": float(speed), "pitch": int(pitch), "vol": float(volume)},
        )
        text = cloning.check_text(text or "", cloning.SPEECH_TASK_MAX_CHARS)
        model = cloning.check_model(model or "")
        how = replace(setting.settings, language=speech.check_language(language), readings=_readings(read_as))
        found = self._desk.studio.dialogue(text, owner) if dialogue is True else []
        speakers = tuple((each.name, each.voice_id) for each in found)
        order = SpeakOrder(owner, str(voice_id), text, model, how, (key or "").strip() or None, speakers=speakers)
        return order, kind if kind in strings.FORMATS else strings.FORMATS[0]

    def recall(self, request: gr.Request, token: str) -> tuple[Takings, str]:
        """Return what was said in earlier visits, and the list of it."""
        try:
            owner = self._desk.owner(token, request)
            found = self._desk.studio.documents(owner)[:TAKES_SHOWN]
        except TimbreError:  # who has just come has said nothing yet
            return (), parts.takes(())
        takes = tuple(recalled(self._desk, each, request.session_hash) for each in found)
        return takes, parts.takes(takes)

    def read(self, path: str | None) -> Updates:
        """Put the text of a file into the place where it is written."""
        p = self.panel
        try:
            opened = self._desk.studio.read_text(Path(path or ""))
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {p.progress: parts.refusal(explain(error))}
        return {p.text: opened.text, p.progress: parts.note("info", strings.OPENED.format(opened.title))}

    def open(self, request: gr.Request, token: str, event: gr.EventData) -> Updates:
        """Open a document that was spoken before."""
        p, which = self.panel, _document(event)
        try:
            owner = self._desk.owner(token, request)
            document = self._desk.studio.document(which, owner)
        except Exception as error:  # noqa: BLE001  a visitor is never shown a traceback
            return {p.progress: parts.refusal(explain(error))}
        take = recalled(self._desk, document, request.session_hash)
        return {
            p.text: document.text,
            p.voice: self.choices(self._desk.studio.voices(owner), document.voice_id),
            p.model: document.model,
            p.document.which: which,
            p.progress: "",
            p.latest: parts.player(replace(take.sound, saved_as="")),
            p.done: parts.take_done(take),
        }

    def opening(self) -> list[Any]:
        """Return what ``open`` changes."""
        p = self.panel
        return [p.text, p.voice, p.model, p.document.which, p.progress, p.latest, p.done]

    def forget(self, request: gr.Request, token: str, which: str, event: gr.EventData) -> tuple[Takings, str, Any, Any]:
        """Forget a document; return what is left, and the one that is open if it is another."""
        gone = _document(event)
        with suppress(TimbreError):  # it is gone already
            self._desk.studio.forget_document(gone, self._desk.owner(token, request))
        return *self.recall(request, token), gr.skip() if which != gone else "", gr.skip() if which != gone else ""

    def _begin(self, order: SpeakOrder, kind: str, visit: str | None) -> tuple[Take, Any]:
        """Return the take, and what begins to write it once there is something to write."""
        studio, files = self._desk.studio, self._desk.files
        name = f"timbre-{order.voice_id}.{kind}"
        voices = {voice.voice_id: voice for voice in studio.voices(order.owner)}
        voice = voices.get(order.voice_id)
        path = files.new(visit, name)
        live = path if kind == "mp3" else files.new(visit, f"timbre-{order.voice_id}-live.mp3")
        made = studio.provenance(order)
        take = Take("", voice.name if voice else "", order.text, order.model, path.name, engine=made.engine)

        def begin() -> Recorder:
            return Recorder(live, path, partial(studio.writing, provenance=made))

        return take, begin

    def _hosted(self, chosen: str | None, owner: str) -> bool:
        return any(each.voice_id == chosen and each.backend == NOVITA for each in self._desk.studio.voices(owner))


def _readings(written: str | None) -> tuple[tuple[str, str], ...]:
    """Return words with their readings; each is a line “word = reading”, and of one word the first one counts."""
    found: dict[str, str] = {}
    for line in (written or "").splitlines():
        word, _, reading = (each.strip() for each in line.partition("="))
        if not line.strip():
            continue
        if not (word and reading) or max(len(word), len(reading)) > speech.READING_MAX_CHARS:
            message = strings.READING_WRONG.format(line.strip()[:40], speech.READING_MAX_CHARS)
            raise TextError(message, code="reading", field="text", advice=strings.READING_ADVICE)
        found.setdefault(word, reading)
    return tuple(found.items())[: speech.READINGS_MAX]


def _no_voice() -> VoiceError:
    return VoiceError(strings.NO_VOICE, code="no_voice", field="voice_id", advice=strings.NO_VOICE_ADVICE)


def _document(event: gr.EventData) -> str:
    # What a browser sends along with a click may be anything.
    data = event._data if isinstance(event._data, dict) else {}
    return str(data.get("document"))[:100]
