"""A recording drawn: waveform and spectrogram, in the colours of the page, light or dark."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from clone.audio.waveform import Picture
from clone.ui import strings

_HEIGHT = 100


def recording(picture: Picture, stretch: tuple[float, float] | None) -> str:
    """Return a recording's waveform with speech, clipping and a stretch marked, its spectrogram, and an axis of time.

    Args:
        picture: what is drawn.
        stretch: start and end of the part that is marked, in seconds; page.js moves it.
    """
    marks = [
        *(_mark("tb-speech", span, picture.duration_s) for span in picture.speech),
        *(_mark("tb-clipped", span, picture.duration_s) for span in picture.clipped),
    ]
    said = strings.picture(picture.duration_s, len(picture.speech), len(picture.clipped))
    return (
        f'<figure class="tb-picture" data-duration="{picture.duration_s:.2f}">'
        f'<div class="tb-wave" role="img" aria-label="{escape(said, quote=True)}">{"".join(marks)}{_wave(picture)}'
        f"{_stretch(stretch, picture.duration_s)}</div>"
        f'<div class="tb-spectrum" style="--picture:url({_png(picture.spectrogram)})" aria-hidden="true"></div>'
        f'<div class="tb-axis" aria-hidden="true">{_axis(picture.duration_s)}</div>'
        f"<figcaption>{_legend(bool(picture.clipped), stretch is not None)}</figcaption></figure>"
    )


def _wave(picture: Picture) -> str:
    return (
        f'<svg viewBox="0 0 {len(picture.highs)} {_HEIGHT}" '
        'preserveAspectRatio="none" focusable="false" aria-hidden="true">'
        f'<polygon points="{picture.points(_HEIGHT)}"/></svg>'
    )


def _mark(kind: str, span: tuple[float, float], duration_s: float) -> str:
    left, width = 100 * span[0] / duration_s, 100 * (span[1] - span[0]) / duration_s
    return f'<i class="{kind}" style="left:{left:.2f}%;width:{width:.2f}%"></i>'


def _stretch(stretch: tuple[float, float] | None, duration_s: float) -> str:
    if stretch is None:
        return '<b class="tb-stretch" hidden></b>'
    return _mark("tb-stretch", stretch, duration_s).replace("<i ", "<b ").replace("</i>", "</b>")


def _axis(duration_s: float) -> str:
    return "".join(f"<span>{strings.clock(duration_s * i / 4)}</span>" for i in range(5))


def _legend(clipped: bool, stretch: bool) -> str:
    """Return the legend; page.js says of the mark whether it is the best part, or the one that is cloned."""
    kinds = ["speech", *(["clipped"] if clipped else []), *(["best"] if stretch else []), "stretch"]
    return "".join(f'<span class="tb-key tb-key-{kind}">{escape(strings.LEGEND[kind])}</span>' for kind in kinds)


def _png(levels: np.ndarray) -> str:
    """Return levels as an image whose opacity they are: the page gives it its colour."""
    alpha = Image.fromarray(np.ascontiguousarray(levels[::-1]), "L")
    image = Image.merge("LA", (Image.new("L", alpha.size, 0), alpha))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
