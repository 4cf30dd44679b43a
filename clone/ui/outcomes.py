"""What the page gives back: the new voice, and the list of the visitor's voices."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from clone.ui import fields, parts, words

_VOICES_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  const row = event.target.closest('[data-voice]');
  if (!button || !row) return;
  const does = button.dataset.do;
  const sure = row.querySelector('.tb-sure');
  sure.hidden = does !== 'ask';
  const pay = row.querySelector('.tb-pay');
  if (pay) pay.hidden = does !== 'offer';
  if (does === 'offer') pay.querySelector('button').focus();
  if (does === 'decline') row.querySelector('[data-do=offer]').focus();
  if (does === 'ask') sure.querySelector('button').focus();
  if (does === 'keep') row.querySelector('[data-do=ask]').focus();
  const voice = { voice: row.dataset.voice };
  if (does === 'play') trigger('play', voice);
  if (does === 'speak') trigger('select', voice);
  if (does === 'forget') trigger('delete', voice);
  if (does === 'pay') trigger('apply', voice);
});
"""


@dataclass(frozen=True)
class ResultPanel:
    """6 The new voice."""

    card: gr.Column
    original: gr.Audio
    clone: gr.Audio
    voice_id: gr.Textbox
    facts: gr.HTML


@dataclass(frozen=True)
class LibraryPanel:
    """7 The visitor's voices."""

    listed: gr.HTML
    note: gr.HTML
    keep_cancel: gr.Button
    chosen: gr.State
    card: gr.Column
    title: gr.HTML
    player: gr.Audio
    text: gr.Textbox
    model: gr.Dropdown
    cost: gr.HTML
    speak: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    spoken: gr.Audio


def result_panel() -> ResultPanel:
    """Build: original and clone side by side, voice_id, likeness; unseen until there is a result."""
    with fields.card(visible=False, elem_id="result") as card:
        gr.HTML(parts.heading(None, words.RESULT))
        with gr.Row(equal_height=True):
            original = fields.player("original", words.ORIGINAL)
            clone = fields.player("cloned", words.CLONED)
        with gr.Row():
            with gr.Column(min_width=300):
                voice_id = gr.Textbox(
                    label=words.VOICE_ID, max_lines=2, interactive=False, buttons=["copy"], elem_id="voice-id"
                )
            with gr.Column(min_width=300):
                facts = fields.slot("facts")
    return ResultPanel(card, original, clone, voice_id, facts)


def library_panel() -> LibraryPanel:
    """Build: the list of voices, and the card of the one chosen."""
    with fields.card():
        gr.HTML(parts.heading(None, words.VOICES, words.VOICES_ADVICE))
        listed = gr.HTML(parts.voices([]), js_on_load=_VOICES_JS, elem_id="voices")
        note = fields.slot("voices-note")
        keep_cancel = gr.Button(words.CANCEL, variant="stop", visible=False, elem_id="keep-cancel")
        chosen = gr.State(None)
        with gr.Column(visible=False, elem_id="voice-card", elem_classes="tb-inner") as card:
            title = gr.HTML(elem_id="voice-title")
            player = fields.player("voice-player", words.PREVIEW_PLAYER, visible=False, autoplay=True)
            text = gr.Textbox(words.TEXT_START, label=words.SPEAK_TEXT, lines=3, max_lines=12, elem_id="speak-text")
            model = fields.model_choice("speak-model")
            cost = fields.slot("speak-cost")
            speak = gr.Button(words.SPEAK_BUTTON, variant="primary", elem_id="speak")
            cancel = gr.Button(words.CANCEL, variant="stop", visible=False, elem_id="speak-cancel")
            progress = fields.slot("speak-progress")
            spoken = fields.player("spoken", words.SPOKEN, visible=False, autoplay=True)
    player_and_text = (card, title, player, text, model, cost)
    return LibraryPanel(listed, note, keep_cancel, chosen, *player_and_text, speak, cancel, progress, spoken)
