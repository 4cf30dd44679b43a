"""What the page gives back: the new voice, beside its original, and what can be done with it next."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from clone.ui import fields, parts, strings

_COMPARE_JS = """
const [original, clone] = ['original', 'clone'].map((name) => () => element.querySelector(`audio[data-of=${name}]`));
const radio = () => element.querySelector('[role=radio][aria-checked=true]');
const chosen = () => radio().dataset.of === 'clone' ? clone() : original();
const said = (playing) => {
  const button = element.querySelector('[data-do=play]');
  button.textContent = playing ? button.dataset.pause : button.dataset.play;
};
const play = () => {
  for (const audio of [original(), clone()]) {
    audio.volume = Number(audio.dataset.volume);
    audio.onended = () => said(false);
    if (audio !== chosen()) audio.pause();
  }
  chosen().play();
  said(true);
};
const choose = (radio) => {
  const playing = !original().paused || !clone().paused;
  for (const each of element.querySelectorAll('[role=radio]')) {
    each.setAttribute('aria-checked', String(each === radio));
    each.tabIndex = each === radio ? 0 : -1;
  }
  if (playing) play();
};
element.addEventListener('click', (event) => {
  const pressed = event.target.closest('[role=radio]');
  if (pressed) choose(pressed);
  if (!event.target.closest('[data-do=play]')) return;
  if (chosen().paused) play();
  else { chosen().pause(); said(false); }
});
element.addEventListener('keydown', (event) => {
  if (!event.target.closest('[role=radio]') || !event.key.startsWith('Arrow')) return;
  event.preventDefault();
  const other = element.querySelector('[role=radio][aria-checked=false]');
  choose(other);
  other.focus();
});
"""


@dataclass(frozen=True)
class ResultPanel:
    """The new voice."""

    card: gr.Column
    original: gr.Audio
    clone: gr.Audio
    compare: gr.HTML
    voice_id: gr.Textbox
    facts: gr.HTML
    said: gr.HTML
    again: gr.Button
    share: gr.Button
    shared: gr.HTML


def result_panel() -> ResultPanel:
    """Build: original and clone side by side and under one switch, voice_id, likeness, words; unseen until then."""
    with fields.card(visible=False, elem_id="result") as card:
        gr.HTML(parts.heading(None, strings.RESULT))
        with gr.Row(equal_height=True):
            original = fields.player("original", strings.ORIGINAL)
            clone = fields.player("cloned", strings.CLONED)
        compare = gr.HTML(js_on_load=_COMPARE_JS, elem_id="compare", elem_classes="tb-slot")
        with gr.Row():
            with gr.Column(min_width=300):
                voice_id = gr.Textbox(
                    label=strings.VOICE_ID, max_lines=2, interactive=False, buttons=["copy"], elem_id="voice-id"
                )
                with gr.Row(elem_classes="tb-next"):
                    again = gr.Button(strings.AGAIN, elem_id="again")
                    share = gr.Button(strings.SHARE, elem_id="share")
                shared = fields.slot("shared")
            with gr.Column(min_width=300):
                facts = fields.slot("facts")
                said = fields.slot("said")
    return ResultPanel(card, original, clone, compare, voice_id, facts, said, again, share, shared)
