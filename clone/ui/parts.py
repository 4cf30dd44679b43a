"""Small pieces of HTML. Every value that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from clone import contract
from clone.audio.finding import Finding
from clone.errors import TimbreError
from clone.studio import Examination, Match
from clone.ui import charts, words
from clone.voice import Voice

_MARK = (
    '<svg class="tb-mark" viewBox="0 0 40 40" width="40" height="40" aria-hidden="true" focusable="false">'
    '<rect width="40" height="40" rx="10"/><path d="M9 17v6M14.5 12v16M20 7.5v25M25.5 13v14M31 17v6"/></svg>'
)
_WORTH_SAYING = {("duration", "ok"), ("speech", "ok")}


def header() -> str:
    """Return the head of the page."""
    return f'<header class="tb-head">{_MARK}<div><h1>{words.TITLE}</h1><p>{escape(words.TAGLINE)}</p></div></header>'


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


def findings(found: Iterable[tuple[str, str, str, str]]) -> str:
    """Return what the check of a recording found: what stands against it, or that it is ready.

    Args:
        found: (code, severity, message, advice) of each finding.
    """
    all_found = list(found)
    said = [
        note(severity, message, advice) for _, severity, message, advice in all_found if severity not in {"ok", "info"}
    ]
    if not any(severity == "refuse" for _, severity, _, _ in all_found):
        measured = " ".join(message for code, severity, message, _ in all_found if (code, severity) in _WORTH_SAYING)
        said.insert(0, note("ok", words.READY, measured))
    return "".join(said)


def report(seen: Examination) -> str:
    """Return what is known of a recording: what to do about it, its picture, and every finding with its numbers."""
    found = seen.report.findings
    said = findings((each.code, each.severity, each.message, each.advice) for each in found)
    refusal = seen.report.refusal()
    predicts = (
        f'<p class="tb-facts">{escape(words.predicts(refusal.predicts))}</p>' if refusal and refusal.predicts else ""
    )
    best = seen.stretch
    drawn = charts.recording(seen.picture, (best.start_s, best.end_s) if best else None)
    why = f'<p class="tb-facts">{escape(words.stretch(best.start_s, best.end_s, best.reasons))}</p>' if best else ""
    rows = "".join(_finding(each) for each in found)
    n_odd = sum(each.severity in {"warn", "refuse"} for each in found)
    summary = escape(words.report(len(found), n_odd, seen.complete))
    table = f'<details class="tb-report"><summary>{summary}</summary><ul>{rows}</ul></details>'
    clean = f'<p class="tb-facts">{escape(words.CLEAN)}</p>' if seen.complete and not n_odd else ""
    return f"{said}{predicts}{drawn}{why}{clean}{table}"


def _finding(found: Finding) -> str:
    label = words.FINDINGS.get(found.code, found.code)
    advice = f" <em>{escape(found.advice)}</em>" if found.advice else ""
    limit = words.limit(found.code, found.limit)
    return (
        f'<li class="tb-finding tb-is-{found.severity}"><strong>{escape(label)}'
        f'<span class="tb-only-heard">: {escape(words.SEVERITIES[found.severity])}</span></strong>'
        f"<span>{escape(found.message)}{advice}</span><small>{escape(limit)}</small></li>"
    )


def match(found: Match, accuracy: float) -> str:
    """Return how well a transcript fits what was heard, the words that differ marked."""
    enough = found.score >= accuracy
    marked = " ".join(escape(word) if heard else f"<mark>{escape(word)}</mark>" for word, heard in found.words)
    heard = f'<p class="tb-facts">{escape(words.heard(found.heard))}</p>' if found.score < 1.0 else ""
    return (
        f'<div class="tb-said tb-match tb-note tb-{"ok" if enough else "warn"}" role="status">'
        f"<p><strong>{escape(words.match(found.score, accuracy))}</strong></p><p>{marked}</p>{heard}</div>"
    )


def counter(n_chars: int) -> str:
    """Return the count of characters beneath a text; page.js says the same while somebody types."""
    over = " tb-over" if n_chars > contract.TEXT_MAX_CHARS else ""
    return f'<p class="tb-count{over}">{n_chars:,} of {contract.TEXT_MAX_CHARS:,} characters</p>'


def sentences() -> str:
    """Return the ready sentences as buttons."""
    buttons = "".join(
        f'<button type="button" class="tb-chip" data-text="{escape(text, quote=True)}">{escape(name)}</button>'
        for name, text in words.SENTENCES.items()
    )
    return f'<div class="tb-chips"><span>{escape(words.SENTENCES_LABEL)}</span>{buttons}</div>'


def script() -> str:
    """Return the text to read aloud."""
    said = " ".join(f'data-{name}="{escape(text, quote=True)}"' for name, text in words.METER.items())
    meter = (
        f'<div class="tb-meter" {said} hidden><b>0 s</b><span aria-hidden="true"><i></i></span>'
        '<p role="status"></p></div>'
    )
    return f'<div class="tb-script"><h3>{escape(words.SCRIPT_TITLE)}</h3><p>{escape(words.SCRIPT)}</p></div>{meter}'


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
    """Return what is to be said about a new voice: its likeness, its model, how long it stays, and ``more``."""
    said = [note("info", words.REPLAYED)] if replayed else []
    said += [note("warn", more)] if more else []
    if voice.likeness is not None:
        said.append(gauge(voice.likeness, voice.ceiling))
    facts = [expiry(voice) + ("" if voice.permanent else words.UNLESS_SPOKEN)]
    if voice.model:
        facts.insert(0, voice.model)
    said.append(f'<p class="tb-said tb-facts">{escape(" · ".join(facts))}</p>')
    return "".join(said)


def gauge(likeness: float, ceiling: float | None) -> str:
    """Return the likeness as a sentence and a small bar with the ceiling marked."""
    mark = f'<i style="left:{_percent(ceiling):.1f}%"></i>' if ceiling else ""
    return (
        f'<div class="tb-likeness"><h3>{words.LIKENESS}</h3>'
        f'<div class="tb-gauge" aria-hidden="true"><div style="width:{_percent(likeness):.1f}%"></div>{mark}</div>'
        f"<p>{escape(words.likeness(likeness, ceiling))}</p>"
        f'<p class="tb-facts">{escape(words.LIKENESS_NOTE)}</p></div>'
    )


def expiry(voice: Voice, now: datetime | None = None) -> str:
    """Say until when a voice stays."""
    if voice.expires_at is None:
        return words.KEPT
    left = voice.expires_at - (now or datetime.now(UTC))
    hours = max(0, round(left.total_seconds() / 3600))
    span = words.span(hours)
    day = voice.expires_at
    return f"Removed in {span}, on {day.day} {day:%B %Y, %H:%M} UTC"


def _percent(value: float) -> float:
    return 100 * max(0.0, min(1.0, value))
