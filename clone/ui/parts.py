"""Small pieces of HTML. Every value that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from clone.audio.preflight import Finding
from clone.contract import cloning
from clone.core.errors import TimbreError
from clone.core.likeness import Likeness
from clone.storage.voice import Voice
from clone.studio.facade import Comparison, Examination, Match, RequestCode
from clone.ui import charts, strings
from clone.ui.takes import Take, file_name

_MARK = (
    '<svg class="tb-mark" viewBox="0 0 40 40" width="40" height="40" aria-hidden="true" focusable="false">'
    '<rect width="40" height="40" rx="10"/><path d="M9 17v6M14.5 12v16M20 7.5v25M25.5 13v14M31 17v6"/></svg>'
)
_WORTH_SAYING = {("duration", "ok"), ("speech", "ok")}


def header() -> str:
    """Return the head of the page."""
    return (
        f'<header class="tb-head">{_MARK}<div><h1>{strings.TITLE}</h1><p>{escape(strings.TAGLINE)}</p></div></header>'
    )


def whose() -> str:
    """Return the line that tells a visitor how to be the owner."""
    return f'<p class="tb-said tb-facts">{strings.WHOSE}</p>'


def heading(number: int | None, title: str, advice: str = "") -> str:
    """Return a section's heading, with its number in the order of steps."""
    step = f'<span class="tb-step" aria-hidden="true">{number}</span>' if number else ""
    below = f'<p class="tb-advice">{escape(advice)}</p>' if advice else ""
    return f'<h2 class="tb-h2">{step}{escape(title)}</h2>{below}'


def note(kind: str, message: str, advice: str = "") -> str:
    """Return a message for the slot beneath an input.

    Args:
        kind: ``refuse``, ``warn``, ``info``, ``ok`` or ``busy``.
        message: what happened.
        advice: what to do.
    """
    role = "alert" if kind == "refuse" else "status"
    more = f" <span>{escape(advice)}</span>" if advice else ""
    return f'<div class="tb-said tb-note tb-{kind}" role="{role}"><p><strong>{escape(message)}</strong>{more}</p></div>'


def refusal(error: TimbreError) -> str:
    """Return an error as the message at its field."""
    return note("refuse", error.message, error.advice)


def findings(found: Iterable[tuple[str, str, str, str]], ready: str = strings.READY) -> str:
    """Return what the check of a recording found: what stands against it, or that it is ready.

    Args:
        found: (code, severity, message, advice) of each finding.
        ready: what is said where nothing refuses it; empty to say nothing.
    """
    all_found = list(found)
    said = [
        note(severity, message, advice) for _, severity, message, advice in all_found if severity not in {"ok", "info"}
    ]
    if ready and not any(severity == "refuse" for _, severity, _, _ in all_found):
        measured = " ".join(message for code, severity, message, _ in all_found if (code, severity) in _WORTH_SAYING)
        said.insert(0, note("ok", ready, measured))
    return "".join(said)


def report(seen: Examination) -> str:
    """Return what is known of a recording: what to do about it, its picture, and every finding with its numbers."""
    found, best = seen.report.findings, seen.stretch
    refusal = seen.report.refusal()
    predicts = strings.predicts(refusal.predicts) if refusal and refusal.predicts else ""
    why = strings.stretch(best.start_s, best.end_s, best.reasons) if best else ""
    n_odd = sum(each.severity in {"warn", "refuse"} for each in found)
    no_cures = seen.complete and not seen.report.cures() and (refusal is None or refusal.is_cuttable)
    rows = "".join(_finding(each) for each in found)
    summary = escape(strings.report(len(found), n_odd, seen.complete))
    table = f'<details class="tb-report"><summary>{summary}</summary><ul>{rows}</ul></details>'
    drawn = charts.recording(seen.picture, (best.start_s, best.end_s) if best else None)
    facts = f"{_facts(why)}{_facts(strings.cures((), is_clean=not n_odd) if no_cures else '')}"
    return f"{_verdict(seen)}{_facts(predicts, 'tb-if-hosted')}{drawn}{facts}{table}"


def _verdict(seen: Examination) -> str:
    """Return what stands against a recording, and whether it, or a part of it, can be cloned."""
    found, refusal = seen.report.findings, seen.report.refusal()
    if refusal and refusal.is_cuttable:
        said = note("warn", refusal.message, strings.PART_INSTEAD if seen.complete else strings.PART_SOUGHT)
        return said + "".join(note(e.severity, e.message, e.advice) for e in found if e.severity == "warn")
    ready = strings.READY
    if seen.is_of_several:
        ready = strings.READY_PART if seen.stretch else ""
    return findings(((each.code, each.severity, each.message, each.advice) for each in found), ready)


def _facts(said: str, *more: str) -> str:
    return f'<p class="{" ".join(("tb-facts", *more))}">{escape(said)}</p>' if said else ""


def _finding(found: Finding) -> str:
    label = strings.FINDINGS.get(found.code, found.code)
    advice = f" <em>{escape(found.advice)}</em>" if found.advice else ""
    limit = strings.limit(found.code, found.limit)
    return (
        f'<li class="tb-finding tb-is-{found.severity}"><strong>{escape(label)}'
        f'<span class="tb-only-heard">: {escape(strings.SEVERITIES[found.severity])}</span></strong>'
        f"<span>{escape(found.message)}{advice}</span><small>{escape(limit)}</small></li>"
    )


def match(found: Match, accuracy: float) -> str:
    """Return how well a transcript fits what was heard, the words that differ marked."""
    enough = found.score >= accuracy
    shown = [(escape(word) if heard else f"<mark>{escape(word)}</mark>") for word, heard in found.words]
    # Chinese and Japanese come character by character, and have no spaces.
    marked = "".join(
        each + ("" if word[:1] > "⺀" else " ") for each, (word, _) in zip(shown, found.words, strict=True)
    )
    heard = f'<p class="tb-facts">{escape(strings.heard(found.heard))}</p>' if found.score < 1.0 else ""
    return (
        f'<div class="tb-said tb-match tb-note tb-{"ok" if enough else "warn"}" role="status">'
        f"<p><strong>{escape(strings.match(found.score, accuracy))}</strong></p><p>{marked}</p>{heard}</div>"
    )


def counter(n_chars: int, limit: int = cloning.TEXT_MAX_CHARS) -> str:
    """Return the count of characters beneath a text; page.js says the same while somebody types."""
    over = " tb-over" if n_chars > limit else ""
    return f'<p class="tb-count{over}">{n_chars:,} of {limit:,} characters</p>'


def sentences() -> str:
    """Return the ready sentences as buttons."""
    buttons = "".join(
        f'<button type="button" class="tb-chip" data-text="{escape(text, quote=True)}">{escape(name)}</button>'
        for name, text in strings.SENTENCES.items()
    )
    return f'<div class="tb-chips"><span>{escape(strings.SENTENCES_LABEL)}</span>{buttons}</div>'


def script() -> str:
    """Return the text to read aloud."""
    said = " ".join(f'data-{name}="{escape(text, quote=True)}"' for name, text in strings.METER.items())
    meter = (
        f'<div class="tb-meter" {said} hidden><b>0 s</b><span aria-hidden="true"><i></i></span>'
        '<p role="status"></p></div>'
    )
    return f'<div class="tb-script"><h3>{escape(strings.SCRIPT_TITLE)}</h3><p>{escape(strings.SCRIPT)}</p></div>{meter}'


def progress(stage: str, done: int = 0, total: int = 0, elapsed_s: float = 0.0) -> str:
    """Return the progress of a job: its stage, a bar, and the seconds that went by, which page.js counts on."""
    percent = round(100 * min(done, total) / total) if total > 0 else 0
    return (
        '<div class="tb-said tb-progress">'
        f'<p><span class="tb-stage" role="status">{escape(stage)}</span>'
        f'<span class="tb-time" data-elapsed="{elapsed_s:.1f}">{elapsed_s:.0f} s</span></p>'
        f'<div class="tb-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}" aria-valuetext="{escape(stage, quote=True)}">'
        f'<div style="width:{max(percent, 2)}%"></div></div></div>'
    )


def result(voice: Voice, replayed: bool, more: str = "") -> str:
    """Return what is to be said about a new voice: its likeness, name and model, how long it stays, and ``more``."""
    said = [note("info", strings.REPLAYED)] if replayed else []
    said += [note("warn", more)] if more else []
    if voice.alike:
        said.append(gauge(voice.alike))
    elif voice.file("preview") is None and not more:
        said.append(note("info", strings.NO_PREVIEW, strings.NO_PREVIEW_ADVICE))
    facts = [expiry(voice) + ("" if voice.permanent else strings.UNLESS_SPOKEN)]
    if voice.model:
        facts.insert(0, voice.model)
    facts.insert(0, voice.name or strings.UNNAMED)
    said.append(f'<p class="tb-said tb-facts">{escape(" · ".join(facts))}</p>')
    return "".join(said)


def compare(links: tuple[str, str], found: Comparison) -> str:
    """Return original and clone under one switch, at one loudness.

    Args:
        links: of the original and of the clone.
        found: by how much each is turned down.
    """
    sounds = "".join(
        f'<audio preload="none" data-of="{of}" data-volume="{10 ** (db / 20):.3f}" src="{escape(link, quote=True)}">'
        "</audio>"
        for of, link, db in zip(("original", "clone"), links, (found.original_db, found.clone_db), strict=True)
    )
    choices = "".join(
        f'<button type="button" role="radio" aria-checked="{str(of == "clone").lower()}" data-of="{of}" '
        f'tabindex="{0 if of == "clone" else -1}">{escape(label)}</button>'
        for of, label in (("original", strings.ORIGINAL), ("clone", strings.CLONED))
    )
    play, pause = escape(strings.COMPARE_PLAY), escape(strings.COMPARE_PAUSE)
    return (
        f'<div class="tb-said tb-compare"><button type="button" class="tb-button" data-do="play" data-play="{play}" '
        f'data-pause="{pause}">{play}</button>'
        f'<div class="tb-switch" role="radiogroup" aria-label="{escape(strings.COMPARE)}">{choices}</div>'
        f'<span class="tb-facts">{escape(strings.COMPARE_NOTE)}</span>{sounds}</div>'
    )


def said(found: Match) -> str:
    """Return which words of a preview's text were heard in it."""
    n_heard = sum(heard for _, heard in found.words)
    shown = [(escape(word) if heard else f"<mark>{escape(word)}</mark>") for word, heard in found.words]
    # Chinese and Japanese come character by character, and have no spaces.
    marked = "".join(
        each + ("" if word[:1] > "⺀" else " ") for each, (word, _) in zip(shown, found.words, strict=True)
    )
    return (
        f'<div class="tb-said tb-match"><h3>{escape(strings.WORDS_TITLE)}</h3>'
        f"<p>{escape(strings.words_heard(n_heard, len(found.words)))}</p><p>{marked}</p></div>"
    )


def file_link(link: str, name: str, label: str) -> str:
    """Return a link that saves a file."""
    return (
        f'<p class="tb-said tb-facts"><a class="tb-button" href="{escape(link, quote=True)}" '
        f'download="{escape(name, quote=True)}">{escape(label)}</a></p>'
    )


def code(written: RequestCode) -> str:
    """Return programs in tabs, with a button that copies the one that is shown."""
    tabs, shown = [], []
    for i, (language, program) in enumerate(written.snippets):
        tabs.append(
            f'<button type="button" role="tab" id="code-tab-{i}" aria-controls="code-{i}" '
            f'aria-selected="{str(i == 0).lower()}" tabindex="{0 if i == 0 else -1}">{escape(language)}</button>'
        )
        shown.append(
            f'<div role="tabpanel" id="code-{i}" aria-labelledby="code-tab-{i}"{" hidden" if i else ""}>'
            f'<pre tabindex="0">{escape(program)}</pre></div>'
        )
    until = written.expires_at
    lent = f'<p class="tb-facts">{escape(strings.code_link(f"{until:%H:%M}"))}</p>' if until else ""
    return (
        f'<div class="tb-said tb-code"><div role="tablist" aria-label="{escape(strings.CODE_LANGUAGES)}">'
        f"{''.join(tabs)}"
        f'</div>{"".join(shown)}<p><button type="button" class="tb-button" data-do="copy" '
        f'data-copied="{escape(strings.CODE_COPIED)}">{escape(strings.CODE_COPY)}</button>'
        f'<span class="tb-facts" role="status"></span></p>{lent}</div>'
    )


def take(said: Take) -> str:
    """Return the player of a take, which plays while it is still being spoken."""
    return f'<div class="tb-take">{_said(said)}{_player(said.live, said.text, "autoplay")}</div>'


def take_done(said: Take) -> str:
    """Return what is there of a take once it is done: its length, and its file."""
    facts = f'<span class="tb-facts">{_take_facts(said)}</span>'
    return f'<div class="tb-said tb-does" role="status">{_download(said)}{facts}</div>'


def takes(said: Iterable[Take]) -> str:
    """Return the earlier takes of a visit, newest first."""
    rows = [
        f'<li class="tb-take">{_said(each)}{_player(each.link, each.text, "preload=none")}'
        f'<div class="tb-does">{_download(each)}<span class="tb-facts">{_take_facts(each)}</span></div></li>'
        for each in said
    ]
    if not rows:
        return f'<p class="tb-empty">{escape(strings.TAKES_EMPTY)}</p>'
    return f'<h3 class="tb-title">{escape(strings.TAKES)}</h3><ul class="tb-voices">{"".join(rows)}</ul>'


def _take_facts(said: Take) -> str:
    return escape(" · ".join(filter(None, (strings.clock(said.duration_s), said.model, said.said))))


def _said(said: Take) -> str:
    return f"<p><strong>{escape(said.voice or strings.UNNAMED)}</strong> {escape(strings.excerpt(said.text))}</p>"


def _player(link: str, text: str, how: str) -> str:
    named = escape(f"{strings.SPOKEN}: {strings.excerpt(text)}", quote=True)
    return f'<audio controls {how} src="{escape(link, quote=True)}" aria-label="{named}"></audio>'


def _download(said: Take) -> str:
    kind = said.name.rpartition(".")[2]
    name = file_name(kind, said.voice, said.text)
    return (
        f'<a class="tb-button" href="{escape(said.link, quote=True)}" download="{escape(name, quote=True)}">'
        f"{escape(strings.download(kind))}</a>"
    )


def gauge(alike: Likeness) -> str:
    """Return the likeness as a sentence and a small bar, on which it stands between a stock voice and the person."""
    bar = ""
    if alike.share is not None:
        ends = "".join(f"<span>{escape(end)}</span>" for end in strings.LIKENESS_ENDS)
        bar = (
            f'<div class="tb-gauge" aria-hidden="true"><div style="width:{100 * alike.share:.1f}%"></div></div>'
            f'<div class="tb-ends" aria-hidden="true">{ends}</div>'
        )
    return (
        f'<div class="tb-likeness"><h3>{strings.LIKENESS}</h3>{bar}'
        f"<p>{escape(strings.likeness(alike))}</p>"
        f'<p class="tb-facts">{escape(strings.LIKENESS_NOTE)}</p></div>'
    )


def expiry(voice: Voice, now: datetime | None = None) -> str:
    """Say until when a voice stays."""
    if voice.expires_at is None:
        return strings.KEPT
    left = voice.expires_at - (now or datetime.now(UTC))
    hours = max(0, round(left.total_seconds() / 3600))
    return strings.expires(hours, voice.expires_at)
