"""The kinds of fields the page is made of."""

from __future__ import annotations

from typing import Any

import gradio as gr

from clone.contract import cloning
from clone.ui import strings
from clone.ui.theme import wave


def card(visible: bool = True, elem_id: str | None = None) -> gr.Column:
    """Build a section of the page."""
    return gr.Column(visible=visible, elem_id=elem_id, elem_classes="tb-card")


def recorder(elem_id: str, label: str, sources: list[Any]) -> gr.Audio:
    """Build an input for a recording."""
    # No format: what comes in is passed on as it is, and only the reader decides what it is.
    return gr.Audio(sources=sources, type="filepath", label=label, buttons=[], waveform_options=wave(), elem_id=elem_id)


def player(elem_id: str, label: str, visible: bool = True, autoplay: bool = False) -> gr.Audio:
    """Build a player."""
    return gr.Audio(
        type="filepath",
        label=label,
        interactive=False,
        buttons=["download"],
        visible=visible,
        autoplay=autoplay,
        waveform_options=wave(),
        elem_id=elem_id,
    )


def model_choice(elem_id: str) -> gr.Dropdown:
    """Build the choice among the contract's models, the best first."""
    by_tier = sorted(cloning.MODELS, key=lambda name: cloning.tier(name) != "hd")
    choices = [(f"{name} · {strings.MODEL_LABELS[cloning.tier(name)]}", name) for name in by_tier]
    start, label, hint = strings.MODEL_START, strings.MODEL, strings.MODEL_HINT
    return gr.Dropdown(choices, value=start, label=label, info=hint, elem_id=elem_id, elem_classes="tb-inline")


def slot(elem_id: str) -> gr.HTML:
    """Build the place of the message that belongs to the input above it."""
    return gr.HTML(elem_id=elem_id, elem_classes="tb-slot")
