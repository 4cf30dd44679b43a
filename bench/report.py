"""From single measurements to the figures: means, intervals, the table, and what must be reached."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CLONES = ("hd", "turbo")
SYSTEMS = (*CLONES, "stock", "real")

MIN_LIKENESS = 0.40
MAX_WER = 0.02
MAX_DNSMOS_LOST = 0.15
MAX_CLONING = {"hd": 1.5, "turbo": 0.7}
"""Of the time that Kokoro alone takes."""

MAX_TURBO_RTF = 0.25

N_DRAWS = 5_000
SEED = 0


@dataclass(frozen=True)
class Measured:
    """What was measured of one clip: likeness normalised by encoder, wrong words of how many, quality, time."""

    speaker: str
    system: str
    heard: str
    likeness: dict[str, float]
    errors: int
    words: int
    dnsmos: float
    took_s: float | None
    duration_s: float


def figures(cells: list[Measured], stages: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that are written as JSON; ``stages`` is what ``bench.timing`` found."""
    systems = {system: _system([cell for cell in cells if cell.system == system]) for system in SYSTEMS}
    for system in CLONES:
        stages = stages | {f"speak_{system}_rtf": systems[system]["rtf"]}
    found: dict[str, Any] = {"systems": systems, "stages_s": stages}
    return found | {"goals": goals(found), "clips": [asdict(cell) for cell in cells]}


def goals(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what must be reached: each with its name, value, limit and whether it is."""
    systems, stages = found["systems"], found["stages_s"]
    least_dnsmos = systems["real"]["dnsmos"] - MAX_DNSMOS_LOST
    rows = []
    for system in CLONES:
        figure = systems[system]
        rows += [
            (f"{system}: likeness by Resemblyzer", figure["likeness"]["resemblyzer"]["value"], ">=", MIN_LIKENESS),
            (f"{system}: word error rate", figure["wer"], "<=", MAX_WER),
            (f"{system}: DNSMOS, beside real less {MAX_DNSMOS_LOST}", figure["dnsmos"], ">=", least_dnsmos),
            (f"{system}: cloning time by Kokoro alone", stages[f"ratio_{system}"], "<=", MAX_CLONING[system]),
        ]
    rows.append(("turbo: speaking, real-time factor", stages["speak_turbo_rtf"], "<=", MAX_TURBO_RTF))
    return [
        {"goal": name, "value": value, "sign": sign, "limit": limit, "reached": _reached(value, sign, limit)}
        for name, value, sign, limit in rows
    ]


def table(found: dict[str, Any]) -> str:
    """Return the figures as text: systems, goals, stages."""
    encoders = found["systems"]["real"]["likeness"]
    lines = ["system  " + "".join(f"{encoder:>26}" for encoder in encoders) + "     WER  DNSMOS    RTF"]
    for system, figure in found["systems"].items():
        cells = "".join(f"{_likeness(figure['likeness'][encoder]):>26}" for encoder in encoders)
        wer, rtf = _percent(figure["wer"]), "–" if figure["rtf"] is None else f"{figure['rtf']:.3f}"
        lines.append(f"{system:<8}{cells}{wer:>8}{figure['dnsmos']:>8.2f}{rtf:>7}")
    lines += ["", "likeness: 0 is another speaker, 1 the same speaker's other recordings; 95 % interval", ""]
    for goal in found["goals"]:
        verdict = "pass" if goal["reached"] else "FAIL"
        lines.append(f"{verdict}  {goal['goal']:<38}{goal['value']:>7.3f}  {goal['sign']} {goal['limit']:.3f}")
    return "\n".join([*lines, "", *_stages(found["stages_s"])])


def interval(cells: list[Measured], encoder: str) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean likeness.

    Speakers are drawn anew, then each one's clips: clips of one speaker are alike, and must not count as independent.
    """
    by_speaker: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        by_speaker[cell.speaker].append(cell.likeness[encoder])
    rows = [np.asarray(values) for values in by_speaker.values()]
    random = np.random.default_rng(SEED)
    means = [
        np.mean([random.choice(rows[i], len(rows[i])).mean() for i in random.integers(len(rows), size=len(rows))])
        for _ in range(N_DRAWS)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _system(cells: list[Measured]) -> dict[str, Any]:
    n_words = sum(cell.words for cell in cells)
    took = [cell.took_s for cell in cells if cell.took_s is not None]
    likeness = {
        encoder: {
            "value": float(np.mean([cell.likeness[encoder] for cell in cells])),
            "ci95": list(interval(cells, encoder)),
        }
        for encoder in cells[0].likeness
    }
    return {
        "likeness": likeness,
        "wer": sum(cell.errors for cell in cells) / n_words if n_words else None,
        "dnsmos": float(np.mean([cell.dnsmos for cell in cells])),
        "rtf": sum(took) / sum(cell.duration_s for cell in cells) if took else None,
    }


def _reached(value: float, sign: str, limit: float) -> bool:
    return value >= limit if sign == ">=" else value <= limit


def _likeness(figure: dict[str, Any]) -> str:
    low, high = figure["ci95"]
    return f"{figure['value']:.2f} ({low:.2f} to {high:.2f})"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _stages(stages: dict[str, Any]) -> list[str]:
    lines = [f"{'Kokoro alone for the preview':<46}{stages['kokoro_alone_s']:>6.2f} s"]
    for system in CLONES:
        ratio = stages[f"ratio_{system}"]
        whole = f"cloning 30 s with a 10 s preview, {system}"
        lines.append(f"{whole:<46}{stages[f'{system}_clone_s']:>6.2f} s, {ratio:.2f} times")
        lines += [f"  {name:<44}{seconds:>6.2f} s" for name, seconds in stages[system].items()]
    return lines
