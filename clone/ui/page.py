"""Put the panels together and wire them. Every event is private; what programs may ask by name is in api.py."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from clone.contract import cloning
from clone.contract.speech import AUTO
from clone.core import __version__
from clone.core.settings import Settings
from clone.core.workspace import secret_for
from clone.studio.facade import Studio
from clone.studio.snippets import SpeakDraft
from clone.ui import api, fields, gradio_patches, panels, parts, strings, tabs
from clone.ui.batch_panel import BatchDesk
from clone.ui.clone_tab import CloneTab
from clone.ui.code_panel import Coding, code_panel
from clone.ui.document_panel import DocumentDesk
from clone.ui.fields import LanguagePanel
from clone.ui.files import VisitFiles, temporary_folder
from clone.ui.getting import ModelOffer
from clone.ui.import_panel import Importing
from clone.ui.panels import BACKEND_KEY, BackendChoice
from clone.ui.recording_check import Prompting, RecordingCheck
from clone.ui.result import Comparing, ResultPanel
from clone.ui.running import Desk, ending_quietly
from clone.ui.sessions import QUEUE_LIMIT
from clone.ui.speak_tab import Speaking, SpeakPanel, speak_panel
from clone.ui.takes import Takes
from clone.ui.visitors import STORAGE_KEY, Owners, header_pairs
from clone.ui.voices_tab import Pending, Voices, pending_panel, voices_panel

# The studio has its own queue; this only bounds how many visitors are shown where they stand in it.
_RUNS_AT_ONCE = 48
_CHECKS_AT_ONCE = 4
_DOWNLOADS_AT_ONCE = 32
"""Of links, beside the checks; the studio bounds them for each visitor and in all."""
_QUICK: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 8}
_SLOW: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal", "concurrency_limit": 4}
_RUN: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "trigger_mode": "once",
    "concurrency_limit": _RUNS_AT_ONCE,
}
"""Of what takes its time, and is shown as it goes on."""
_CLONES, _SPEAKS = ({**_RUN, "concurrency_id": each} for each in ("clone", "speak"))
_IN_BROWSER: dict[str, Any] = {"fn": None, "api_visibility": "private", "show_progress": "hidden", "queue": False}

# What page.js and focus.js do, as Gradio calls it; a value that is returned is that of the event's output.
_SHOW_SOURCE_JS = f"(source) => window.tbShowSource(source, {json.dumps(strings.SOURCES)})"
# What was refused is said no longer once it was changed, by whatever way: a paste is no input to the framework.
_UNSAID_JS = "() => window.tbUnsaid('%s')"
_MARK_JS = "(used, start, length) => { window.tbMark(used, start, length); }"
_COUNT_LONG_JS = f"(text) => window.tbCount(text, {cloning.SPEECH_TASK_MAX_CHARS})"
_COUNT_JS = f"(text) => window.tbCount(text, {cloning.TEXT_MAX_CHARS})"
_SAVE_LISTED_JS = "() => { window.tbSave('#voices-note'); }"
_PAUSE_JS = f"() => {{ window.tbInsert('#speak-text textarea', {json.dumps(strings.PAUSE_MARK)}); }}"
_TO_THE_DOCUMENT_JS = "() => { window.tbShow('#document'); }"
_SAVE_EXPORT_JS = "() => { window.tbSave('#exported'); }"
_SAVE_JS = "() => { window.tbSave('#shared'); }"
_SHOW_TAKE_JS = "() => { window.tbShow('#take .tb-player'); }"
_FINISH_TAKE_JS = "() => { window.tbFinish('#take .tb-player', '#take-done a[download]'); }"
_SILENT_JS = "() => { window.tbSilence('#take'); }"
_SHOW_TRIED_JS = "() => { window.tbShow('#tried .tb-player'); }"
_FINISH_TRIED_JS = "() => { window.tbFinish('#tried .tb-player', '#tried-done a[download]'); }"
_SILENT_TRIED_JS = "() => { window.tbSilence('#tried'); }"
_TO_THE_TEXT_JS = "() => { window.tbToTheText(); }"
_READINGS_JS = "(voice) => window.tbReadings(voice)"
_KEEP_READINGS_JS = "(voice, own, all) => window.tbKeepReadings(voice, own, all)"
_SAID_JS = "(...said) => window.tbSaid(said, %d)"  # the voice comes first in what is asked for, counted from its end
_TIERS = {name: cloning.tier(name) for name in reversed(cloning.MODELS)}
_FIRST = {tier: next(name for name, its in _TIERS.items() if its == tier) for tier in strings.QUALITIES.values()}
_MODEL_JS = f"(quality) => ({json.dumps(_FIRST)})[quality]"
_QUALITY_JS = f"(model) => ({json.dumps(_TIERS)})[model]"
# Consent is of one person: once a voice was made with it, another recording asks for it anew.
_AGREE_JS = "(...given) => { window.tbAgree(JSON.stringify(given)); }"
_AGREE_ANEW_JS = "(...given) => window.tbAgreeAnew(JSON.stringify(given))"
_CANCELLING_JS = f"() => window.tbCancelling({json.dumps(strings.CANCELLING)})"
_AT_REST_JS = f"() => window.tbAtRest({json.dumps(strings.CANCEL)})"
_TAB_JS = "async (token) => [token, await window.tbTab()]"
_DRAFTS_JS = "() => window.tbDrafts('text', 'speak-text')"
_SHOW_OUTCOME_JS = "() => { window.tbShowOutcome(); }"


def build(studio: Studio, settings: Settings, authorize: api.Authorize, takes: Takes) -> gr.Blocks:
    """Return the page, wired to a studio.

    Args:
        studio: does the work.
        settings: where it is served.
        authorize: lets programs in; see api.py.
        takes: where what is said here is found by its links.
    """
    gradio_patches.apply()
    desk = Desk(studio, Owners(settings), VisitFiles(temporary_folder(settings.home)), takes)
    with gr.Blocks(title=strings.TITLE, analytics_enabled=False) as page:
        api.wire(desk, authorize)  # first, while check, clone and speak are nobody's names
        secret = secret_for(settings, "page_secret")  # the same after every restart
        token = gr.BrowserState("", storage_key=STORAGE_KEY, secret=secret)
        backend = gr.BrowserState("", storage_key=BACKEND_KEY, secret=secret)
        gr.HTML(parts.render("header"))
        with gr.Tabs(selected="clone", elem_id="places") as places:
            with gr.Tab(strings.PLACES["clone"], id="clone") as clone_place:
                (voice, closer, preview, run), result = panels.clone_panels()
            with gr.Tab(strings.PLACES["speak"], id="speak") as speak_place:
                spoken = speak_panel()
                with gr.Column(elem_id="write-code"):
                    written = code_panel("speak-code", SpeakDraft(model=strings.MODEL_START))
            with gr.Tab(strings.PLACES["voices"], id="voices") as voices_place, fields.card():
                left = pending_panel()
                listed = voices_panel()
        owner_note = fields.slot("whose")
        gr.HTML(parts.render("footer", version=__version__))
        clone_tab = CloneTab(desk, (voice, closer, preview, run), (result, listed))
        looked_at = _wire_voice(clone_tab, desk)
        _wire_clone(clone_tab, token)
        arrived = _wire_reload(page, clone_tab, token, looked_at)
        _wire_backend(page, BackendChoice(desk, run.backend_choice, run.consent, preview.language), clone_tab, backend)
        speaking = Speaking(desk, spoken)
        _wire_getting(page, ModelOffer(desk, preview.getting))
        voices = Voices(desk, listed, speaking, result)
        keeping = _wire_voices(voices, (token, run.backend_choice.key), places)
        pending = Pending(desk, left, listed.listed)
        keeping.then(pending.show, token, left.listed, **_QUICK)
        left.listed.apply(pending.keep, token, pending.outputs(), **_QUICK)
        left.listed.delete(pending.dismiss, token, pending.outputs(), **_QUICK)
        gr.on([page.load, voices_place.select], voices.open, token, [token, listed.listed, left.listed], **_QUICK)
        carried = [token, result.voice_id, result.text]
        again = result.again.click(speaking.carry, carried, [spoken.voice, spoken.text], **_QUICK)
        opened = again.then(lambda: gr.Tabs(selected="speak"), None, places, **_QUICK)
        opened.then(js=_TO_THE_TEXT_JS, **_IN_BROWSER)
        _wire_drawers(Importing(desk, listed.coming, listed.listed), BatchDesk(desk, spoken.batch), token, spoken)
        _wire_speaking(page, speaking, (token, run.backend_choice.key), speak_place, desk)
        arrived.then(speaking.under_way, token, [spoken.joined, places], **_QUICK)
        _wire_result(desk, result, speaking, (token, run.backend_choice.key), clone_place)
        coding = Coding(desk, has_house_key=not settings.api_keys)
        _wire_code(coding, clone_tab, token)
        for panel, write, inputs in (
            (written, coding.speak, [token, *spoken.said()]),
            (result.code, coding.voice, [token, result.voice_id, result.text, result.model]),
        ):
            panel.wire(write, inputs, _followed(inputs[1:]), _QUICK)
        page.load(speaking.recall, token, [spoken.takes, spoken.earlier], **_QUICK)
        page.load(_greet(desk, bool(settings.novita_api_key)), None, [owner_note, run.backend_choice.key], **_QUICK)
        page.load(js=_DRAFTS_JS, outputs=[preview.text, spoken.text], **_IN_BROWSER)
        page.unload(_leaving(desk))
    page.queue(max_size=QUEUE_LIMIT)
    page.space_id = None  # else the browser of a Space's visitor would be sent to Google for letters
    return page  # type: ignore[no-any-return]


def _wire_voice(clone_tab: CloneTab, desk: Desk) -> dict[str, Any]:
    """Return the event that looks at the recording which a page's tab has."""
    voice, preview, closer = clone_tab.voice, clone_tab.preview, clone_tab.closer
    sample = voice.sample
    checking = RecordingCheck(desk, sample, voice.note)
    voice.source.change(js=_SHOW_SOURCE_JS, inputs=voice.source, outputs=list(voice.by_source), **_IN_BROWSER)
    preview.text.change(js=_COUNT_JS, inputs=preview.text, outputs=preview.counter, **_IN_BROWSER)
    looked_at: dict[str, Any] = {
        "fn": checking.check,
        "inputs": clone_tab.given(),
        "outputs": checking.outputs(),
        "api_visibility": "private",
        "show_progress": "hidden",
        "concurrency_id": "check",
        "concurrency_limit": _CHECKS_AT_ONCE,
    }
    files = [voice.recorded.change, voice.uploaded.change, voice.example.change]
    gr.on(files, trigger_mode="always_last", **looked_at | {"fn": checking.look})
    fetched: dict[str, Any] = {
        "inputs": clone_tab.given(),
        "outputs": checking.outputs(),
        "api_visibility": "private",
        "show_progress": "hidden",
        "trigger_mode": "always_last",
        "concurrency_id": "download",
        "concurrency_limit": _DOWNLOADS_AT_ONCE,
    }
    gr.on([voice.link.submit, voice.link_button.click], checking.fetch, **fetched).then(**looked_at)
    voice.source.input(checking.fetch_once, **fetched).then(**looked_at)
    gr.on([voice.recorded.clear, voice.uploaded.clear], checking.forget, None, checking.outputs(), **_QUICK)
    another = [
        voice.source.change,
        voice.recorded.change,
        voice.uploaded.change,
        voice.link.input,
        voice.example.change,
    ]
    gr.on(another, js=_AGREE_ANEW_JS, inputs=clone_tab.given(), outputs=clone_tab.run.consent, **_IN_BROWSER)
    marked = [sample.start, sample.length]
    chosen = [sample.use, *marked]
    changed = [sample.use.change, sample.start.change, sample.length.change]
    gr.on(changed, js=_MARK_JS, inputs=chosen, **_IN_BROWSER)
    gr.on(changed, checking.mark, chosen, trigger_mode="always_last", **_QUICK)
    sample.hear.click(checking.hear, [*marked, *clone_tab.given()], [sample.player, voice.note], **_SLOW)
    sample.compare.click(checking.compare, [sample.needs, *chosen, *clone_tab.given()], checking.compared(), **_SLOW)
    sample.apply.click(
        lambda needs: ("noise" in needs, "volume" in needs, gr.update(open=True)),
        sample.needs,
        [preview.noise, preview.volume, preview.drawer],
        **_QUICK,
    )
    prompting = Prompting(desk, closer.audio, closer.text, closer.note)
    taken = [closer.audio, closer.text, closer.note]
    closer.take.click(prompting.take, [*chosen, *clone_tab.given()], taken, **_SLOW)
    closer.transcribe.click(prompting.transcribe, closer.audio, [closer.text, closer.note], **_SLOW)
    fits = [closer.audio.change, closer.text.change, preview.accuracy.change]
    gr.on(fits, js=_UNSAID_JS % "#prompt-note", outputs=closer.note, **_IN_BROWSER)
    said = [preview.text.change, preview.model.change]
    gr.on(said, js=_UNSAID_JS % "#text-note", outputs=preview.note, **_IN_BROWSER)
    gr.on(
        fits,
        prompting.compare,
        [closer.audio, closer.text, preview.accuracy],
        closer.match,
        trigger_mode="always_last",
        **_SLOW,
    )
    return looked_at | {"fn": checking.look_again}


def _wire_clone(clone_tab: CloneTab, token: gr.BrowserState) -> None:
    run = clone_tab.run
    run.clone.click(js=_AGREE_JS, inputs=clone_tab.given(), **_IN_BROWSER)
    running = run.clone.click(
        ending_quietly(clone_tab.clone, run.progress),
        [token, *clone_tab.filled()],
        clone_tab.outputs(),
        **_CLONES,
    )
    result = clone_tab.result
    joined = run.joined.change(
        ending_quietly(clone_tab.rejoin, run.progress),
        token,
        clone_tab.outputs(),
        **_CLONES,
    )
    for each in (running, joined):
        ended = each.then(js=_SHOW_OUTCOME_JS, **_IN_BROWSER)
        ended.then(clone_tab.compare, [token, result.voice_id], result.said, **_QUICK)
    shared = result.share.click(clone_tab.share, [token, result.voice_id], result.shared, **_SLOW)
    shared.then(js=_SAVE_JS, **_IN_BROWSER)
    gr.on([result.change.click], clone_tab.change, None, clone_tab.changing(), **_QUICK)
    preview = clone_tab.preview
    preview.quality.input(js=_MODEL_JS, inputs=preview.quality, outputs=preview.model, **_IN_BROWSER)
    preview.model.change(js=_QUALITY_JS, inputs=preview.model, outputs=preview.quality, **_IN_BROWSER)
    _wire_end(running, clone_tab.stop, run.cancel, run.clone)
    joined.then(js=_AT_REST_JS, outputs=[run.cancel, run.clone], **_IN_BROWSER)


def _wire_reload(page: gr.Blocks, clone_tab: CloneTab, token: gr.BrowserState, looked_at: dict[str, Any]) -> Any:
    """Return the event of a page's arrival in its tab."""
    secret = gr.Textbox(visible=False)
    back = gr.Button(visible="hidden", elem_id="back")  # pressed by the script when the page is looked at again
    arriving = [page.load, back.click]
    arrived = gr.on(arriving, clone_tab.arrive, [token, secret], clone_tab.arriving(), js=_TAB_JS, **_QUICK)
    arrived.then(**looked_at)
    return arrived


def _wire_result(
    desk: Desk, result: ResultPanel, speaking: Speaking, who: tuple[gr.BrowserState, gr.Textbox], place: gr.Tab
) -> None:
    """Have the new voice heard in the other quality, and say what is written beside it, as the Speak place does."""
    (token, key), spoken, comparing = who, speaking.panel, Comparing(desk, result)
    rest = comparing.rest, [token, result.voice_id, result.heard], comparing.resting()
    place.select(*rest, **_QUICK)  # what was said in Write keeps it for good
    asked = [token, result.voice_id, result.heard, result.text]
    compared = result.other.click(comparing.speak, asked, comparing.speaking(), **_SPEAKS)
    _wire_end(compared, comparing.stop, result.other_cancel)
    compared.then(*rest, **_QUICK)
    panel = replace(
        spoken,
        text=result.text,
        speak=result.speak,
        cancel=result.cancel,
        progress=result.progress,
        language=LanguagePanel(spoken.language.choice, result.progress),
        latest=result.latest,
        done=result.done,
        document=replace(spoken.document, which=gr.State("")),  # what is open in the Speak place stays open
    )
    trying = Speaking(desk, panel, "try")
    plain = [gr.State(each) for each in (1.0, 0, 1.0, strings.FORMATS[0], AUTO, False, "")]
    said = [token, key, spoken.takes, result.voice_id, result.text, result.model, *plain]
    tried = gr.on([result.speak.click, result.text.submit], trying.speak, said, trying.outputs(), **_SPEAKS)
    _wire_end(tried, trying.stop, result.cancel, result.speak)
    tried.then(*rest, **_QUICK)
    tried.then(parts.takes, spoken.takes, spoken.earlier, **_QUICK)
    result.latest.change(js=_SHOW_TRIED_JS, **_IN_BROWSER)
    result.done.change(js=_FINISH_TRIED_JS, **_IN_BROWSER)
    result.cancel.click(js=_SILENT_TRIED_JS, **_IN_BROWSER)


def _wire_code(coding: Coding, clone_tab: CloneTab, token: gr.BrowserState) -> None:
    filled, panel = clone_tab.filled(), clone_tab.run.code
    panel.wire(coding.clone, [panel.lent, *filled], _followed(filled), _QUICK)
    panel.shown.apply(coding.lend, [token, panel.lent, *filled], [panel.shown, panel.lent], **_SLOW)


def _followed(inputs: list[Any]) -> list[Any]:
    """Return the changes of what is filled in."""
    return [each.change for each in inputs]


def _wire_end(running: Any, stop: Any, cancel: gr.Button, start: gr.Button | None = None) -> None:
    """Have a run stopped by its button, and the buttons rest when it has ended, however it did.

    The page takes no second run before it has heard that the first ended: what starts one is back then, not earlier,
    or a click on it would be lost. The run is asked to stop and ends itself, so that its last word comes last: when
    the framework cancels an event, news of it may still come afterwards.

    Args:
        running: the event.
        stop: the handler that asks it to stop.
        cancel: the button for that.
        start: the button that starts a run, where it is hidden meanwhile.
    """
    cancel.click(js=_CANCELLING_JS, outputs=cancel, **_IN_BROWSER)
    cancel.click(stop, api_visibility="private", show_progress="hidden", concurrency_limit=None)
    buttons = [cancel, start] if start else [cancel]
    running.then(js=_AT_REST_JS, outputs=buttons, **_IN_BROWSER)


def _wire_backend(page: gr.Blocks, backends: BackendChoice, clone_tab: CloneTab, kept: gr.BrowserState) -> None:
    """Have a choice kept; say what it means, and which language the text is in, whenever one of these changes."""
    choice, preview, source = backends.panel.backend, clone_tab.preview, clone_tab.voice.source
    page.load(backends.recall, kept, choice, **_QUICK)
    choice.input(backends.recall, choice, kept, **_QUICK)
    chosen = [choice, source, preview.text, preview.model, preview.language.choice]
    _watch(page, chosen, backends.chosen, chosen, backends.outputs())


def _watch(page: gr.Blocks, watched: list[Any], say: Any, asked: list[Any], shown: list[Any]) -> None:
    """Have something said when the page is loaded and whenever one of these fields changes, the last change last.

    A field is in one list only, and ``say`` says all there is to be said of it. Where two events wait for the same
    change to be told, the framework tells both of it once more as soon as one has ended, and they do so for ever.
    """
    events = [page.load, *(each.change for each in watched)]
    gr.on(events, say, asked, shown, trigger_mode="always_last", **_QUICK)


def _wire_getting(page: gr.Blocks, getting: ModelOffer) -> None:
    p = getting.panel
    page.load(getting.show, None, getting.outputs(), **_QUICK)
    running = p.get.click(
        getting.get,
        None,
        getting.outputs(),
        **_RUN,
    )
    _wire_end(running, getting.stop, p.cancel, p.get)


def _wire_voices(voices: Voices, who: tuple[gr.BrowserState, gr.Textbox], places: gr.Tabs) -> Any:
    """Return the event that keeps a voice and costs money."""
    p, (token, key), new = voices.panel, who, voices.result
    known = [token, new.voice_id]
    new.named.edit(voices.rename_new, known, voices.changeable(), **_QUICK)
    new.named.like(voices.keep_new, known, voices.changeable(), **_QUICK)
    new.named.select(lambda: gr.Tabs(selected="voices"), None, places, **_QUICK)
    p.listed.play(voices.play, token, voices.playable(), **_QUICK)
    picked = p.listed.select(voices.select, token, voices.selectable(), **_QUICK)
    opened = picked.then(lambda refusal: gr.skip() if refusal else gr.Tabs(selected="speak"), p.note, places, **_QUICK)
    opened.then(js=_TO_THE_TEXT_JS, **_IN_BROWSER)
    p.listed.edit(voices.edit, known, voices.changeable(), **_QUICK)
    p.listed.like(voices.keep_free, known, voices.changeable(), **_QUICK)
    p.listed.undo(voices.restore, known, voices.changeable(), **_QUICK)
    for made in (
        p.listed.download(voices.share, token, p.note, **_SLOW),
        p.listed.copy(voices.export, token, p.note, **_SLOW),
    ):
        made.then(js=_SAVE_LISTED_JS, **_IN_BROWSER)
    shown = [voices.speaking.panel.voice, p.playing, voices.result.voice_id]
    p.listed.delete(voices.forget, [token, *shown], voices.forgettable(), **_QUICK)
    keeping = p.listed.apply(
        voices.keep,
        [token, key, new.voice_id],
        voices.keepable(),
        **_SPEAKS,
    )
    _wire_end(keeping, voices.stop_keeping, p.keep_cancel)
    return keeping


def _wire_drawers(importing: Importing, batch: BatchDesk, token: gr.BrowserState, p: SpeakPanel) -> None:
    """Wire what takes a file in: voices, whose consent goes when another file is chosen; and a table of texts."""
    i, b = importing.panel, batch.panel
    gr.on([i.file.upload, i.file.clear], js="() => [false, '']", outputs=[i.consent, i.file_note], **_IN_BROWSER)
    i.consent.input(js=_UNSAID_JS % "#import-consent-note", outputs=i.consent_note, **_IN_BROWSER)
    coming = i.run.click(importing.take_in, [token, i.file, i.consent], importing.outputs(), **_RUN)
    _wire_end(coming, importing.stop, i.cancel, i.run)
    gr.on([b.file.upload, b.file.clear], js=_UNSAID_JS % "#batch-note", outputs=b.note, **_IN_BROWSER)
    speaking = b.run.click(
        batch.speak, [token, b.file, *p.said()], batch.outputs(), js=_SAID_JS % -len(p.said()), **_SPEAKS
    )
    _wire_end(speaking, batch.stop, b.cancel, b.run)


def _wire_document(speaking: Speaking, runs: list[Any], token: gr.BrowserState, desk: Desk) -> None:
    s, d = speaking.panel, speaking.panel.document
    document = DocumentDesk(desk, d)
    which, shown = [token, d.which], document.outputs()
    for run in runs:
        run.then(document.show, which, shown, **_QUICK)
    s.file.upload(speaking.read, s.file, [s.text, s.progress], **_SLOW)
    s.pause.click(js=_PAUSE_JS, **_IN_BROWSER)
    opened = s.earlier.select(speaking.open, token, speaking.opening(), **_QUICK)
    opened.then(document.show, which, shown, **_QUICK).then(js=_TO_THE_DOCUMENT_JS, **_IN_BROWSER)
    forgotten = s.earlier.delete(speaking.forget, which, [s.takes, s.earlier, d.which, s.latest], **_QUICK)
    forgotten.then(document.show, which, shown, **_QUICK)
    d.listed.play(document.hear, which, [d.note, d.player], **_QUICK)
    d.listed.edit(document.edit, which, shown, **_QUICK)
    d.listed.select(document.choose, which, shown, **_QUICK)
    d.export.click(document.export, [*which, d.kind, d.level], d.exported, **_SLOW).then(
        js=_SAVE_EXPORT_JS, **_IN_BROWSER
    )
    d.listed.apply(document.again, which, shown, **_SPEAKS)
    d.changes.click(document.speak_changes, which, shown, **_SPEAKS)
    d.cancel.click(document.stop, api_visibility="private", show_progress="hidden", concurrency_limit=None)


def _wire_speaking(
    page: gr.Blocks, speaking: Speaking, who: tuple[gr.BrowserState, gr.Textbox], place: gr.Tab, desk: Desk
) -> None:
    p, (token, key) = speaking.panel, who
    place.select(speaking.offer, [token, p.voice], p.voice, **_QUICK)
    p.hear.click(speaking.hear, [token, p.voice], p.heard, **_QUICK)
    p.voice.change(js="() => ''", outputs=p.heard, **_IN_BROWSER)
    recalled = [p.voice.change, p.how.expand]
    gr.on(recalled, js=_READINGS_JS, inputs=p.voice, outputs=list(p.readings), **_IN_BROWSER)
    edited = [each.change for each in p.readings]
    gr.on(edited, js=_KEEP_READINGS_JS, inputs=[p.voice, *p.readings], **_IN_BROWSER)
    p.text.change(js=_COUNT_LONG_JS, inputs=p.text, outputs=p.counter, **_IN_BROWSER)
    running = p.speak.click(
        speaking.speak,
        [token, key, p.takes, *p.said()],
        speaking.outputs(),
        js=_SAID_JS % -len(p.said()),
        **_SPEAKS,
    )
    written = [p.voice, p.text, p.model, p.language.choice]
    _watch(page, written, speaking.look, [token, *written], [p.language.said, p.cost, p.dialogue])
    joined = p.joined.change(
        speaking.rejoin,
        [token, p.takes, p.joined],
        speaking.outputs(),
        **_SPEAKS,
    )
    joined.then(js=_AT_REST_JS, outputs=[p.cancel, p.speak], **_IN_BROWSER)
    _wire_document(speaking, [running, joined], token, desk)
    p.done.change(js=_FINISH_TAKE_JS, **_IN_BROWSER)
    p.latest.change(js=_SHOW_TAKE_JS, **_IN_BROWSER)
    p.cancel.click(js=_SILENT_JS, **_IN_BROWSER)
    _wire_end(running, speaking.stop, p.cancel, p.speak)


def _greet(desk: Desk, own_key: bool) -> Any:
    """Return what tells the owner whose key is used, and who came by the owner's address without a cookie, how."""

    def greet(request: gr.Request) -> tuple[str, Any]:
        headers = header_pairs(request.headers)
        if desk.owners.is_owner(headers):
            return "", gr.update(info=strings.KEY_HINT + strings.KEY_OWN) if own_key else gr.skip()
        return parts.line(strings.WHOSE) if desk.owners.is_direct(headers) else "", gr.skip()

    return greet


def _leaving(desk: Desk) -> Any:
    """Return what is done when a page is gone: what its tab may come back for is kept for a while."""
    ending: dict[str, asyncio.Task[None]] = {}

    async def end(tab: tabs.Tab) -> None:
        while desk.tabs.is_left(tab):
            await asyncio.sleep(tabs.LEFT_S + 0.1)
            await run_in_threadpool(desk.end, tab)

    async def leave(request: gr.Request) -> None:
        tab = await run_in_threadpool(desk.leave, request.session_hash)
        if tab is not None and tab.name not in ending:
            ending[tab.name] = asyncio.create_task(end(tab))
            ending[tab.name].add_done_callback(lambda _: ending.pop(tab.name, None))

    return leave
