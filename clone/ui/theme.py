"""How the page looks: one restrained theme for light and dark, a type scale, and what the framework leaves unnamed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import gradio as gr

_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("page.js", "player.js", "blind.js", "focus.js")
ACCENT, ACCENT_DEEP, ACCENT_ON_DARK = "#0f6e66", "#0b544e", "#5ec9bd"
STOP = "#b91c1c"
WAVE, WAVE_PLAYED = "#94a3a8", "#0f8a7e"

_WEIGHTS = (400, 700)
"""Of the fonts the framework brings, these weights hold the whole alphabet; the semibold files do not."""

# Contrast of each pair is at least 4.5 (WCAG 2.2 AA); tests/browser holds this in both modes.
_LOOK = {
    "body_background_fill": "#f6f6f3",
    "body_background_fill_dark": "#121615",
    "body_text_color": "#1c2423",
    "body_text_color_dark": "#e9efed",
    "body_text_color_subdued": "#52605d",
    "body_text_color_subdued_dark": "#a9b8b4",
    "background_fill_primary": "#ffffff",
    "background_fill_primary_dark": "#1a201f",
    "background_fill_secondary": "#f1f2ee",
    "background_fill_secondary_dark": "#202826",
    "border_color_primary": "#d9ddd8",
    "border_color_primary_dark": "#34403d",
    "block_background_fill": "#ffffff",
    "block_background_fill_dark": "#1a201f",
    "block_border_color": "#d9ddd8",
    "block_border_color_dark": "#34403d",
    "block_border_width": "1px",
    "block_shadow": "none",
    "block_radius": "10px",
    "block_label_background_fill": "transparent",
    "block_label_background_fill_dark": "transparent",
    "block_label_border_width": "0px",
    "block_label_text_color": "#3d4a47",
    "block_label_text_color_dark": "#c3d0cc",
    "block_title_text_color": "#26312f",
    "block_title_text_color_dark": "#dbe5e2",
    "block_title_text_weight": "600",
    "block_info_text_size": "14px",
    "block_info_text_color": "#52605d",
    "block_info_text_color_dark": "#a9b8b4",
    "input_background_fill": "#ffffff",
    "input_background_fill_dark": "#151a19",
    "input_border_color": "#8b9995",
    "input_border_color_dark": "#5d6d69",
    "input_border_color_focus": ACCENT,
    "input_border_color_focus_dark": ACCENT_ON_DARK,
    "input_placeholder_color": "#5f6d69",
    "input_placeholder_color_dark": "#98a8a4",
    "input_radius": "8px",
    "checkbox_background_color_selected": ACCENT,
    "checkbox_background_color_selected_dark": ACCENT,
    "checkbox_border_color": "#74827e",
    "checkbox_border_color_dark": "#8b9b96",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_dark": "transparent",
    "checkbox_label_text_color": "#1c2423",
    "checkbox_label_text_color_dark": "#e9efed",
    "slider_color": ACCENT,
    "slider_color_dark": ACCENT_ON_DARK,
    "color_accent": ACCENT,
    "link_text_color": ACCENT,
    "link_text_color_dark": ACCENT_ON_DARK,
    "button_primary_background_fill": ACCENT,
    "button_primary_background_fill_dark": ACCENT,
    "button_primary_background_fill_hover": ACCENT_DEEP,
    "button_primary_background_fill_hover_dark": ACCENT_DEEP,
    "button_primary_border_color": ACCENT,
    "button_primary_border_color_dark": ACCENT,
    "button_primary_text_color": "#ffffff",
    "button_primary_text_color_dark": "#ffffff",
    "button_secondary_background_fill": "#ffffff",
    "button_secondary_background_fill_dark": "#202826",
    "button_secondary_background_fill_hover": "#eceee9",
    "button_secondary_background_fill_hover_dark": "#2a3431",
    "button_secondary_border_color": "#8b9995",
    "button_secondary_border_color_dark": "#5d6d69",
    "button_secondary_text_color": "#1c2423",
    "button_secondary_text_color_dark": "#e9efed",
    "button_cancel_background_fill": STOP,
    "button_cancel_background_fill_dark": STOP,
    "button_cancel_background_fill_hover": "#991b1b",
    "button_cancel_background_fill_hover_dark": "#991b1b",
    "button_cancel_border_color": STOP,
    "button_cancel_border_color_dark": STOP,
    "button_cancel_text_color": "#ffffff",
    "button_cancel_text_color_dark": "#ffffff",
    "button_border_width": "1px",
    "button_border_width_dark": "1px",
    "button_large_radius": "10px",
    "button_large_text_weight": "600",
}


def theme() -> gr.themes.Default:
    """Return the theme; its fonts come with the framework, so no other host is asked for any."""
    look = gr.themes.Default(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=_WEIGHTS), "ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=_WEIGHTS), "ui-monospace", "monospace"],
    )
    look.set(**_LOOK)
    return look


def wave() -> gr.WaveformOptions:
    """Return the colours of every player."""
    return gr.WaveformOptions(waveform_color=WAVE, waveform_progress_color=WAVE_PLAYED)


@cache
def static(name: str) -> str:
    """Return a script or a style sheet of the page."""
    return (_STATIC / name).read_text(encoding="utf-8")


def css() -> str:
    """Return the page's own style."""
    return static("page.css")


@cache
def head() -> str:
    """Return what goes into the page's head: its own scripts."""
    scripts = "".join(f"<script>{static(name)}</script>" for name in _SCRIPTS)
    return f'<meta name="color-scheme" content="light dark">{scripts}'
