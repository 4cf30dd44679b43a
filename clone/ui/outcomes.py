"""What the page gives back: the new voice."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from clone.ui import fields, parts, words


@dataclass(frozen=True)
class ResultPanel:
    """6 The new voice."""

    card: gr.Column
    original: gr.Audio
    clone: gr.Audio
    voice_id: gr.Textbox
    facts: gr.HTML


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
