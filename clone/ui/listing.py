"""The list of voices as HTML: a frame that stays, and one lean row a voice, which voices.js finishes when it is seen.

Every value that comes from outside is escaped here; voices.js puts text in as text only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from clone.core.settings import NOVITA
from clone.storage.voice import NAME_MAX_CHARS, NOTE_MAX_CHARS, Voice
from clone.ui import strings

_FILES = ("preview", "reference")
_NONE_YET = (
    f'<div class="tb-none-yet"><p class="tb-empty">{escape(strings.VOICES_EMPTY)}</p>'
    f'<p><a class="tb-button" href="#clone">{strings.CLONE_ONE}</a></p></div>'
)


def frame() -> str:
    """Return what stands around the rows, and, as templates, what a row gets once it is seen."""
    sorts = "".join(f'<option value="{key}">{escape(name)}</option>' for key, name in strings.SORTS.items())
    phrases = " ".join(f'data-{key}="{escape(phrase, quote=True)}"' for key, phrase in strings.LISTED.items())
    return (
        f'<div class="tb-finder" {phrases} hidden>'
        f'<label><span>{strings.SEARCH}</span><input type="search" id="voices-search" autocomplete="off"></label>'
        f'<label><span>{strings.SORT}</span><select id="voices-sort">{sorts}</select></label>'
        '<p class="tb-found" role="status"></p></div><p class="tb-told tb-only-heard" role="status"></p>'
        '<div class="tb-list"></div>'
        f'<button type="button" class="tb-button tb-more" data-do="more" hidden>{strings.MORE}</button>'
        f'<template class="tb-none">{_NONE_YET}</template><template class="tb-dress">{_dress()}</template>'
        f'<template class="tb-undress"><div class="tb-undo"><span></span>'
        f"{_button('undo', strings.UNDO)}</div></template>"
    )


def voices(owned: list[Voice], keep_cost: str = "") -> str:
    """Return an owner's list.

    Args:
        owned: newest first.
        keep_cost: what keeping a hosted one may cost.
    """
    if not owned:
        return _NONE_YET
    now, cost = datetime.now(UTC).timestamp(), escape(keep_cost, quote=True)
    rows = "".join(map(row, owned))
    return f'<ul class="tb-voices" data-now="{now:.0f}" data-cost="{cost}">{rows}</ul>'


def row(voice: Voice) -> str:
    """Return one voice: what there is to read, and in attributes what can be done with it."""
    hosted = voice.backend == NOVITA
    when = voice.created_at
    facts = [strings.HOSTED if hosted else strings.HERE, voice.model or "", f"{when.day} {when:%B %Y}"]
    says = f' data-ends="{voice.expires_at.timestamp():.0f}"' if voice.expires_at else ""
    if voice.alike:
        facts.append(strings.likeness_fact(voice.alike))
        says += f' data-like="{voice.alike.rank:.3f}"'
    has = "".join(kind[0] for kind in _FILES if voice.file(kind))
    says += f' data-has="{has}"' + (" data-hosted" if hosted else "")
    note = f"<p>{escape(voice.note)}</p>" if voice.note else ""
    told = escape(" · ".join(each for each in facts if each))
    name = escape(voice.name or strings.UNNAMED)
    return f"<li {_whose(voice.voice_id)}{says}><strong>{name}</strong>{note}<span>{told}</span></li>"


def forgotten(voice: Voice, undo_s: float) -> str:
    """Return what stands in a forgotten voice's place while it can be brought back."""
    name = escape(voice.name or strings.UNNAMED)
    return f'<li {_whose(voice.voice_id)} data-undo="{undo_s:.0f}"><strong>{name}</strong></li>'


def _whose(voice_id: str) -> str:
    return f'data-voice="{escape(voice_id, quote=True)}"'


def _dress() -> str:
    name, note = _edit("name", strings.NAME, NAME_MAX_CHARS), _edit("note", strings.NOTE, NOTE_MAX_CHARS)
    plays = _button("play-p", strings.PLAY) + _button("play-r", strings.PLAY_ORIGINAL)
    keeps = _button("keep", strings.KEEP_FREE) + _button("offer", strings.KEEP)
    does = (
        plays
        + _button("speak", strings.SPEAK)
        + keeps
        + _button("share", strings.SHARE)
        + _button("delete", strings.FORGET)
    )
    return (
        f'<div class="tb-who"><div class="tb-named">{_button("name", strings.RENAME, "tb-quiet")}</div>{name}'
        f'<div class="tb-noted">{_button("note", strings.NOTE_ADD, "tb-quiet")}</div>{note}'
        f'<div class="tb-coded"><code></code>{_button("copy", strings.COPY, "tb-quiet")}</div>'
        '<div class="tb-facts"></div><div class="tb-stays"></div></div>'
        f'<div class="tb-does">{does}</div>'
        f'<div class="tb-pay" role="group" aria-label="{strings.KEEP}" hidden><span>{escape(strings.KEEP_ASK)} </span>'
        f"{_button('pay', strings.KEEP_YES)}{_button('decline', strings.KEEP_NO)}</div>"
    )


def _edit(what: str, label: str, limit: int) -> str:
    return (
        f'<form class="tb-edit" data-edit="{what}" hidden><input type="text" aria-label="{label}" maxlength="{limit}" '
        f'autocomplete="off"><button type="submit" class="tb-button">{strings.SAVE}</button>'
        f'<button type="button" class="tb-button" data-do="close">{strings.CANCEL}</button></form>'
    )


def _button(does: str, label: str, style: str = "") -> str:
    return f'<button type="button" class="tb-button {style}" data-do="{does}">{label}</button>'
