"""Two runs, one against the other: ``python -m bench.compare BEFORE.json AFTER.json``, files kept by ``bench --json``.

Each clip is compared with the same speaker's clip of the same text: what makes one speaker or text easier than another
drops out, and a difference shows that two means beside each other would hide.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.intervals import Value, figure, mean
from bench.report import CLONES, MAX_WER

MAX_DNSMOS_LOST = 0.05

Clip = dict[str, Any]
Measure = tuple[Callable[[Clip], float], Callable[[Clip], float], bool]

MEASURES: dict[str, Measure] = {
    "likeness by resemblyzer": (lambda clip: clip["likeness"]["resemblyzer"], lambda clip: 1.0, True),
    "likeness by dvector": (lambda clip: clip["likeness"]["dvector"], lambda clip: 1.0, True),
    "likeness by both": (lambda clip: clip["likeness"]["both"], lambda clip: 1.0, True),
    "wrong words, per cent": (lambda clip: 100 * clip["errors"] / clip["words"], lambda clip: clip["words"], False),
    "DNSMOS": (lambda clip: clip["dnsmos"], lambda clip: 1.0, True),
    "pitch off, semitones": (lambda clip: abs(clip["pitch_st"]), lambda clip: 1.0, False),
    "rate off, per cent": (lambda clip: abs(clip["rate_pct"]), lambda clip: 1.0, False),
}
"""What is compared of a clip: its value, its weight in the mean, and whether more is better."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.compare", description="Compare two runs of bench.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    arguments = parser.parse_args()
    before, after = read(arguments.before), read(arguments.after)
    check_alike(before, after)
    print(table(differences(before, after)))


def read(file: Path) -> dict[str, Any]:
    """Return a kept run.

    Raises:
        SystemExit: there is none, or it is of an older bench.
    """
    try:
        found = json.loads(file.read_text("utf-8"))
    except OSError as e:
        raise SystemExit(f"{file} can't be read: {e.strerror}.") from e
    except ValueError as e:
        raise SystemExit(f"{file} is no JSON.") from e
    missing = {"protocol", "stages_s", "speakers", "texts", "clips"} - set(found if isinstance(found, dict) else ())
    if missing:
        raise SystemExit(f"{file} is no run to compare with: it lacks {', '.join(sorted(missing))}. Measure it anew.")
    return dict(found)


def check_alike(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Refuse to compare what differs in more than the engine: protocol, threads, speakers, recordings, texts.

    Raises:
        SystemExit: says what differs.
    """
    if before["protocol"] != after["protocol"]:
        raise SystemExit(f"Before it was measured on {before['protocol']}, after on {after['protocol']}.")
    # Another number of threads rounds otherwise: likeness moves by up to 0.01 (measured), which is no gain.
    if (before["stages_s"] is None) != (after["stages_s"] is None):
        raise SystemExit("One run was timed, the other not: the engine had two threads in one, and one in the other.")
    was, now = before["speakers"], after["speakers"]
    if set(was) != set(now):
        only = f"only before: {_listed(set(was) - set(now))}; only after: {_listed(set(now) - set(was))}"
        raise SystemExit(f"The same speakers are needed; {only}.")
    changed = {name for name in was if was[name] != now[name]}
    if changed:
        raise SystemExit(f"The recordings differ of {_listed(changed)}.")
    changed = {name for name in was if before["texts"][name] != after["texts"][name]}
    if changed:
        raise SystemExit(f"The same texts are needed; they differ for {_listed(changed)}.")


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what changed, by system and measure.

    Returns:
        Of each: ``before``, ``after``, their difference as ``value``, its paired 95 % bootstrap interval ``ci95``
        (speakers drawn anew, then the texts of each), and ``verdict``: better, worse, or "" when it may be neither.
    """
    return {
        system: {name: _difference(_paired(before, after, system), measure) for name, measure in MEASURES.items()}
        for system in CLONES
    }


def table(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return differences as text, and whether they are what a better engine needs."""
    lines = [f"{'':<33}{'before':>8}{'after':>8}{'change':>9}  95 % interval"]
    for system, measures in found.items():
        for name, row in measures.items():
            low, high = row["ci95"]
            change = f"{row['value']:>+9.3f}  {low:+.3f} to {high:+.3f}  {row['verdict']}".rstrip()
            lines.append(f"{system + ': ' + name:<33}{row['before']:>8.3f}{row['after']:>8.3f}{change}")
        lines.append("")
    for system, measures in found.items():
        for holds, what in _needed(measures):
            lines.append(f"{'pass' if holds else 'FAIL'}  {system}: {what}")
    return "\n".join(lines)


def _needed(measures: dict[str, dict[str, Any]]) -> list[tuple[bool, str]]:
    return [
        (measures["likeness by resemblyzer"]["ci95"][0] > 0, "closer by Resemblyzer, all of the interval above zero"),
        (measures["wrong words, per cent"]["after"] <= 100 * MAX_WER, f"wrong words at most {MAX_WER:.0%}"),
        (measures["DNSMOS"]["value"] >= -MAX_DNSMOS_LOST, f"DNSMOS lower by at most {MAX_DNSMOS_LOST}"),
    ]


def _paired(before: dict[str, Any], after: dict[str, Any], system: str) -> list[tuple[Clip, Clip]]:
    was, now = (
        {(clip["speaker"], clip["text"]): clip for clip in run["clips"] if clip["system"] == system}
        for run in (before, after)
    )
    return [(was[key], now[key]) for key in was]


def _difference(pairs: list[tuple[Clip, Clip]], measure: Measure) -> dict[str, Any]:
    value, weight, more_is_better = measure
    sides = [
        mean([Value(clip["speaker"], value(clip), weight(clip)) for clip in side]) for side in zip(*pairs, strict=True)
    ]
    found = figure([Value(was["speaker"], value(now) - value(was), weight(now)) for was, now in pairs])
    low, high = found["ci95"]
    verdict = "" if low <= 0 <= high else "better" if (low > 0) == more_is_better else "worse"
    return {"before": sides[0], "after": sides[1], **found, "verdict": verdict}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


if __name__ == "__main__":
    main()
