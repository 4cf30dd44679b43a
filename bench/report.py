"""From single measurements to the figures: means, intervals, the table, what must hold and what is aimed at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.intervals import Value, figure

CLONES = ("hd", "turbo")
GOT = ("pocket",)
"""Engines that are measured where they have been got."""

SYSTEMS = (*CLONES, *GOT, "stock", "real")

MIN_LIKENESS = 0.40
"""By Resemblyzer, of 30 s."""

MAX_WER = 0.02
MAX_DNSMOS_LOST = 0.15
MAX_CLONING = {"hd": 1.5, "turbo": 0.7}
"""Of the time that Kokoro alone takes."""

MAX_TURBO_RTF = 0.25

AIM_LIKENESS = {"folders": {"hd": 0.70, "turbo": 0.62}, "files": {"hd": 0.62}}
"""By both encoders, of 30 s and of 10 s."""

AIM_PITCH_ST = 0.5
AIM_RATE_PCT = 8.0
AIM_CLONING_HD = 1.3
AIM_TURBO_RTF = 0.2

PROTOCOLS = {
    "folders": "30 s of each speaker's first five files are cloned; the last five files are held out",
    "files": "the first 10 s of each recording are cloned; its rest is held out",
}


@dataclass(frozen=True)
class Measured:
    """What was measured of one clip.

    Attributes:
        speaker: whose voice it should be.
        system: one of SYSTEMS.
        text: number of the text; None for a real recording.
        heard: what was understood of it; empty for a real recording.
        likeness: normalised, by encoder, and the mean of both.
        errors, words: wrong words of how many.
        dnsmos: quality, 1 to 5.
        pitch_st, pitch_range, rate_pct: as bench.manner.errors says.
        took_s: seconds it took to make; None when that was not timed.
        cpu_s: seconds of all cores that it took; None for a real recording.
        duration_s: of the clip.
    """

    speaker: str
    system: str
    text: int | None
    heard: str
    likeness: dict[str, float]
    errors: int
    words: int
    dnsmos: float
    pitch_st: float
    pitch_range: float
    rate_pct: float
    took_s: float | None
    cpu_s: float | None
    duration_s: float


def figures(cells: list[Measured], protocol: str, stages: dict[str, Any] | None) -> dict[str, Any]:
    """Return the figures that are written as JSON.

    Args:
        cells: all that was measured.
        protocol: one of PROTOCOLS.
        stages: what ``bench.timing`` found; None when nothing was timed.
    """
    there = [system for system in SYSTEMS if any(cell.system == system for cell in cells)]
    systems = {system: _system([cell for cell in cells if cell.system == system]) for system in there}
    if stages is not None:
        stages = stages | {f"speak_{system}_rtf": systems[system]["rtf"] for system in CLONES}
    found: dict[str, Any] = {"protocol": protocol, "systems": systems, "stages_s": stages}
    return found | {"goals": goals(found), "clips": [asdict(cell) for cell in cells]}


def goals(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what must hold and what is aimed at: each with its name, value, limit and whether it is reached."""
    return [
        {
            "goal": name,
            "kind": kind,
            "value": value,
            "sign": sign,
            "limit": limit,
            "reached": value >= limit if sign == ">=" else value <= limit,
        }
        for kind, rows in (("must", _musts(found)), ("aim", _aims(found)))
        for name, value, sign, limit in rows
    ]


Goal = tuple[str, float, str, float]


def _musts(found: dict[str, Any]) -> Iterator[Goal]:
    stages = found["stages_s"]
    least_dnsmos = found["systems"]["real"]["dnsmos"] - MAX_DNSMOS_LOST
    for system in CLONES:
        values = found["systems"][system]
        if found["protocol"] == "folders":
            yield f"{system}: likeness by Resemblyzer", values["likeness"]["resemblyzer"]["value"], ">=", MIN_LIKENESS
        yield f"{system}: word error rate", values["wer"], "<=", MAX_WER
        yield f"{system}: DNSMOS, beside real less {MAX_DNSMOS_LOST}", values["dnsmos"], ">=", least_dnsmos
        if stages:
            yield f"{system}: cloning time by Kokoro alone", stages[f"ratio_{system}"], "<=", MAX_CLONING[system]
    if stages:
        yield "turbo: speaking, real-time factor", stages["speak_turbo_rtf"], "<=", MAX_TURBO_RTF


def _aims(found: dict[str, Any]) -> Iterator[Goal]:
    stages = found["stages_s"]
    for system, aim in AIM_LIKENESS[found["protocol"]].items():
        yield f"{system}: likeness by both encoders", found["systems"][system]["likeness"]["both"]["value"], ">=", aim
    for system in CLONES:
        yield f"{system}: pitch off, semitones", found["systems"][system]["pitch_st"]["value"], "<=", AIM_PITCH_ST
        yield f"{system}: rate off, per cent", found["systems"][system]["rate_pct"]["value"], "<=", AIM_RATE_PCT
    if stages:
        yield "hd: cloning time by Kokoro alone", stages["ratio_hd"], "<=", AIM_CLONING_HD
        yield "turbo: speaking, real-time factor", stages["speak_turbo_rtf"], "<=", AIM_TURBO_RTF


def table(found: dict[str, Any]) -> str:
    """Return the figures as text: systems, goals, stages."""
    encoders = found["systems"]["real"]["likeness"]
    heads = ("WER", "DNSMOS", "pitch", "range", "rate", "RTF", "CPU")
    lines = [f"{PROTOCOLS[found['protocol']]}.", ""]
    lines.append("system  " + "".join(f"{encoder:>22}" for encoder in encoders) + "".join(f"{h:>8}" for h in heads))
    for system, values in found["systems"].items():
        cells = "".join(f"{_likeness(values['likeness'][encoder]):>22}" for encoder in encoders)
        pitch, rate = f"{values['pitch_st']['value']:.2f} st", f"{values['rate_pct']['value']:.1f} %"
        others = _percent(values["wer"]), f"{values['dnsmos']:.2f}", pitch, f"{values['pitch_range']:.2f}", rate
        ends = (*others, _factor(values["rtf"]), _factor(values["cpu_factor"]))
        lines.append(f"{system:<8}{cells}" + "".join(f"{end:>8}" for end in ends))
    lines += [
        "",
        "likeness: 0 is another speaker, 1 the same speaker's other recordings; 95 % interval",
        "pitch, rate: how far off in the mean, whichever way; range: by the person's own; CPU: seconds a second",
        "",
    ]
    for goal in found["goals"]:
        verdict = {True: "pass", False: "FAIL" if goal["kind"] == "must" else "short"}[goal["reached"]]
        lines.append(
            f"{verdict:<6}{goal['kind']:<6}{goal['goal']:<38}{goal['value']:>7.3f}  {goal['sign']} {goal['limit']:.3f}"
        )
    return "\n".join([*lines, "", *(_stages(found["stages_s"]) if found["stages_s"] else ["Nothing was timed."])])


def _system(cells: list[Measured]) -> dict[str, Any]:
    n_words = sum(cell.words for cell in cells)
    likeness = {
        encoder: figure([Value(cell.speaker, cell.likeness[encoder]) for cell in cells])
        for encoder in cells[0].likeness
    }
    return {
        "likeness": likeness,
        "wer": sum(cell.errors for cell in cells) / n_words if n_words else None,
        "dnsmos": float(np.mean([cell.dnsmos for cell in cells])),
        "pitch_st": figure([Value(cell.speaker, abs(cell.pitch_st)) for cell in cells]),
        # Half as lively and twice as lively are equally far from the person.
        "pitch_range": float(np.exp(np.mean(np.log([max(cell.pitch_range, 1e-3) for cell in cells])))),
        "rate_pct": figure([Value(cell.speaker, abs(cell.rate_pct)) for cell in cells]),
        "rtf": _a_second([(cell.took_s, cell.duration_s) for cell in cells]),
        "cpu_factor": _a_second([(cell.cpu_s, cell.duration_s) for cell in cells]),
    }


def _a_second(spent: list[tuple[float | None, float]]) -> float | None:
    known = [(took_s, duration_s) for took_s, duration_s in spent if took_s is not None]
    return sum(took_s for took_s, _ in known) / sum(duration_s for _, duration_s in known) if known else None


def _likeness(values: dict[str, Any]) -> str:
    low, high = values["ci95"]
    return f"{values['value']:.2f} ({low:.2f} to {high:.2f})"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _factor(factor: float | None) -> str:
    return "–" if factor is None else f"{factor:.3f}"


def _stages(stages: dict[str, Any]) -> list[str]:
    alone = stages["kokoro_alone_s"], stages["kokoro_alone_speech_s"]
    lines = [f"{'Kokoro alone for the preview':<46}{alone[0]:>6.2f} s for {alone[1]:.1f} s of speech"]
    for system in CLONES:
        ratio = stages[f"ratio_{system}"]
        whole = f"cloning with a 10 s preview, {system}"
        taken = f"{stages[f'{system}_clone_s']:>6.2f} s for {stages[f'{system}_clone_speech_s']:.1f} s"
        lines.append(f"{whole:<46}{taken}, {ratio:.2f} times")
        lines += [f"  {name:<44}{seconds:>6.2f} s" for name, seconds in stages[system].items()]
    return lines
