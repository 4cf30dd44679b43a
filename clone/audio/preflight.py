"""What is judged of a recording before anything is done with it, or anything paid for it.

Each check gives one finding: a refusal, a warning or what passed. Hard limits come first, in the order in
which the contract would meet them; the numbers are the contract's own, or named here where it has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from clone import contract
from clone.audio.read import Recording
from clone.errors import AudioError, PromptError

SILENCE_PEAK_DBFS = -60.0
"""A recording whose loudest sample is below this, a thousandth of full scale, is silent."""

SPEECH_MIN_S = 1.0
"""Speech that must be in a recording; with less, the voice detector has found a click or a cough."""

PROMPT_SPEECH_MIN_S = 0.25
"""Speech that must be in a prompt clip: one short word."""

_FLOOR_DBFS = -120.0

Severity = Literal["refuse", "warn", "info", "ok"]
Spans = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Finding:
    """One result of the preflight.

    Attributes:
        code: short machine name; a refusal's is that of the error it becomes.
        severity: ``refuse`` stops the cloning, ``warn`` lowers its quality, ``info`` and ``ok`` are passed.
        measured: the value, in seconds, bytes or dBFS as the message says.
        limit: what it is held against.
        message: one sentence for a person.
        advice: what to do; empty when there is nothing to do.
    """

    code: str
    severity: Severity
    measured: float | str | None
    limit: float | str | None
    message: str
    advice: str = ""


@dataclass(frozen=True)
class Report:
    """All findings about one recording, hard limits first."""

    findings: tuple[Finding, ...]

    def refusal(self) -> Finding | None:
        """Return the first finding that refuses the recording, if one does."""
        return next((finding for finding in self.findings if finding.severity == "refuse"), None)

    def raise_if_refused(self) -> None:
        """Raise what refuses the recording, if anything does.

        Raises:
            AudioError: the first refusal, at the field ``audio``.
        """
        if finding := self.refusal():
            raise AudioError(
                finding.message,
                code=finding.code,
                field="audio",
                measured=finding.measured,
                limit=finding.limit,
                advice=finding.advice,
            )

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return the report as what json can write: ``{"findings": [{"code": …, "severity": …, …}]}``."""
        return {"findings": [asdict(finding) for finding in self.findings]}


def check(recording: Recording, n_bytes_to_clone: int, speech_spans: Spans) -> Report:
    """Judge a recording to be cloned.

    Args:
        recording: as ``read`` gave it.
        n_bytes_to_clone: size of the file that will be cloned from, as ``write.accepted`` made it.
        speech_spans: where the recogniser's voice detector heard speech: (start, end) in seconds.

    Returns:
        The report: ``too_short`` or ``too_long`` or ``duration`` (s), ``too_big`` or ``size`` (bytes),
        ``silent`` or ``level`` (peak in dBFS), ``no_speech`` or ``speech`` (s; left out when all is silent).
    """
    findings = [_duration(recording.duration_s), _size(n_bytes_to_clone), _level(recording.samples)]
    if findings[-1].severity != "refuse":
        findings.append(_speech(speech_s(speech_spans), SPEECH_MIN_S))
    return Report(tuple(findings))


def complete(report: Report, voices: np.ndarray, language: tuple[str, float] | None) -> Report:
    """Stand-in."""
    return report


def check_prompt(recording: Recording, prompt_text: str, speech_spans: Spans) -> None:
    """Judge a prompt clip and its transcript.

    Args:
        recording: the clip.
        prompt_text: what is said in it.
        speech_spans: where speech was heard in it: (start, end) in seconds.

    Raises:
        PromptError: ``prompt_too_long`` (s), ``prompt_no_letter``, ``prompt_no_punctuation``,
            ``prompt_silent`` (peak in dBFS), ``prompt_no_speech`` (s); each at the field it is about.
    """
    contract.check_prompt_duration(recording.duration_s)
    contract.check_prompt_text(prompt_text)
    for finding in (_level(recording.samples), _speech(speech_s(speech_spans), PROMPT_SPEECH_MIN_S)):
        if finding.severity == "refuse":
            raise PromptError(
                finding.message.replace("The recording", "The prompt clip"),
                code=f"prompt_{finding.code}",
                field="prompt_audio",
                measured=finding.measured,
                limit=finding.limit,
                advice="Record one short sentence, or remove the clip and its transcript.",
            )


def speech_s(speech_spans: Spans) -> float:
    """Return how many seconds of speech there are, overlaps counted once."""
    total = last = 0.0
    for start, end in sorted(speech_spans):
        total += max(end - max(start, last), 0.0)
        last = max(last, end)
    return total


def peak_dbfs(samples: np.ndarray) -> float:
    """Return the loudest sample's level.

    Args:
        samples: float32, shape (n_samples,), in [-1, 1].

    Returns:
        dB relative to full scale, never below -120.
    """
    peak = max(float(samples.max()), -float(samples.min())) if len(samples) else 0.0
    return max(20.0 * float(np.log10(max(peak, 1e-12))), _FLOOR_DBFS)


def _limit(check_limit: Callable[[], None], passed: Finding) -> Finding:
    """Return the contract's refusal as a finding, or ``passed``."""
    try:
        check_limit()
    except AudioError as e:
        return Finding(e.code, "refuse", e.measured, e.limit, e.message, e.advice)
    return passed


def _duration(duration_s: float) -> Finding:
    limit = f"{contract.REFERENCE_MIN_S:.0f}–{contract.REFERENCE_MAX_S:.0f} s"
    message = f"The recording is {contract.clock(duration_s)} min long."
    passed = Finding("duration", "ok", round(duration_s, 2), limit, message)
    return _limit(lambda: contract.check_duration(duration_s), passed)


def _size(n_bytes: int) -> Finding:
    message = f"The file to clone from is {n_bytes / 1e6:.1f} MB."
    passed = Finding("size", "ok", n_bytes, contract.REFERENCE_MAX_BYTES, message)
    return _limit(lambda: contract.check_size(n_bytes), passed)


def _level(samples: np.ndarray) -> Finding:
    peak = round(peak_dbfs(samples), 1)
    if peak >= SILENCE_PEAK_DBFS:
        return Finding("level", "ok", peak, SILENCE_PEAK_DBFS, f"Its loudest moment is at {peak:.1f} dBFS.")
    return Finding(
        "silent",
        "refuse",
        peak,
        SILENCE_PEAK_DBFS,
        f"The recording is silent: its loudest moment is at {peak:.0f} dBFS, below {SILENCE_PEAK_DBFS:.0f} dBFS.",
        "Check that the right microphone is chosen and not muted, and record again.",
    )


def _speech(heard_s: float, least_s: float) -> Finding:
    if heard_s >= least_s:
        return Finding("speech", "ok", round(heard_s, 2), least_s, f"{heard_s:.1f} s of speech are in it.")
    return Finding(
        "no_speech",
        "refuse",
        round(heard_s, 2),
        least_s,
        f"The recording has {heard_s:.1f} s of speech in it; at least {least_s:g} s are needed.",
        "Record somebody speaking, close to the microphone and without music.",
    )
