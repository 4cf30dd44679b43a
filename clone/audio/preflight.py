"""What is judged of a recording before anything is done with it, or anything paid for it.

Each check gives one finding: a refusal, a warning or what passed. Hard limits come first, in the order in
which the contract would meet them; the numbers are the contract's own, or named here where it has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from clone.audio import quality
from clone.audio.enhance import (
    LOUDNESS_BLOCK_S,
    PEAK_CEILING_DBTP,
    TARGET_LUFS,
    integrated_loudness,
    noise_share,
    true_peak_dbtp,
)
from clone.audio.quality import Spans
from clone.audio.reader import MAX_KEPT_S, Recording
from clone.audio.turns import SAME_SPEAKER, Turns
from clone.contract import cloning
from clone.core.errors import AudioError, PromptError

Severity = Literal["refuse", "warn", "info", "ok"]

_UNREADABLE = "1000 INVALID_AUDIO_FILE"
_PREDICTED = {
    "too_short": "2037 INVALID_AUDIO_FILE",
    "too_long": "2037 INVALID_AUDIO_FILE",
    "too_big": "INVALID_AUDIO_FILE",
    "not_audio": _UNREADABLE,
    "no_audio": _UNREADABLE,
    "damaged": _UNREADABLE,
}
"""What the hosted service is likely to answer: its number, where it is documented, and name. What else is refused here,
silence for one, it may well take and bill."""


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
        cure: ``noise`` or ``volume``: what may be done to the recording here, and would change it; empty for nothing.
    """

    code: str
    severity: Severity
    measured: float | str | None
    limit: float | str | None
    message: str
    advice: str = ""
    cure: str = ""

    @property
    def is_cuttable(self) -> bool:
        """Whether this stands against the whole of a recording, and not against a part of it."""
        return self.code in {"too_long", "too_big"}

    @property
    def predicts(self) -> str:
        """The hosted service's own error for this, code and name; empty where it is not known to refuse."""
        return predicted(self.code) if self.severity == "refuse" else ""


@dataclass(frozen=True)
class Report:
    """All findings about one recording, hard limits first."""

    findings: tuple[Finding, ...]

    def refusal(self) -> Finding | None:
        """Return the first finding that refuses the recording, if one does."""
        return next((finding for finding in self.findings if finding.severity == "refuse"), None)

    def cures(self) -> tuple[str, ...]:
        """Return what may be done to the recording here and would help it; nothing does where it is refused anyway."""
        refusal = self.refusal()
        if refusal and not refusal.is_cuttable:
            return ()
        return tuple(dict.fromkeys(finding.cure for finding in self.findings if finding.cure))

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
        return {"findings": [asdict(finding) | {"predicts": finding.predicts} for finding in self.findings]}


def predicted(code: str) -> str:
    """Return the hosted service's likely error, number and name, for one of our codes; empty where none is known."""
    return _PREDICTED.get(code, "")


SILENCE_PEAK_DBFS = -60.0
"""A recording whose loudest sample is below this, a thousandth of full scale, is silent."""

SPEECH_MIN_S = 1.0
"""Speech that must be in a recording; with less, the voice detector has found a click or a cough."""

PROMPT_SPEECH_MIN_S = 0.25
"""Speech that must be in a prompt clip: one short word."""

EXAMINED_S = MAX_KEPT_S
"""How much of a very long recording is looked at: a quarter of an hour holds a good minute, and takes seconds."""

# Chosen on 19 recordings of six speakers (bench/faults.py): clean speech lies on one side, the fault on the other.
QUIET_LUFS = -36.0
CLIPPED_SHARE = 0.01
"""Of the speech. Clean speech reached 0.003; with three samples in a thousand clipped it was 0.03."""

NOISE_SNR_DB = 22.0
BANDWIDTH_HZ = 6_500
HUM_DB, HUM_HEARD_DB = -13.0, -25.0
"""Against the whole recording: in the way from the first on, worth a word from the second. Some clean speech hums."""

REDUCIBLE_SHARE, GAIN_DB = 0.25, 1.0
"""What noise reduction (of its full strength: 2 dB) and an even volume must change to be advised."""

OR_REDUCE = ", or reduce the noise"

DC_SHARE = 0.01
ECHO_S = 0.3
"""Dry speech reached 0.22, in a room of 0.6 s at equal level 0.35 and more. Noise hides decays: then it is left out."""

EDGE_S = 2.0
LANGUAGE_SURE = 0.5

_FLOOR_DBFS = -120.0


def check(recording: Recording, n_bytes_to_clone: int, speech_spans: Spans) -> Report:
    """Judge a recording to be cloned.

    Args:
        recording: as ``read`` gave it.
        n_bytes_to_clone: size of the file that will be cloned from, as ``write.accepted`` made it.
        speech_spans: where the recogniser's voice detector heard speech: (start, end) in seconds.

    Returns:
        The report: ``too_short`` or ``too_long`` or ``duration`` (s), ``too_big`` or ``size`` (bytes),
        ``silent`` or ``level`` (peak in dBFS), ``no_speech`` or ``speech`` (s; left out when all is silent); and of
        what holds speech ``loudness`` (LUFS), ``clipping`` (s), ``noise`` (dB), ``bandwidth`` (Hz), ``hum`` (dB),
        ``dc`` (share of full scale), ``echo`` (s) and ``edges`` (s), ``ok`` or ``warn``. Of more than EXAMINED_S, the
        beginning is judged.
    """
    samples = recording.samples[: int(EXAMINED_S * recording.sample_rate)]
    findings = [_duration(recording.duration_s), _size(n_bytes_to_clone), _level(samples)]
    if findings[-1].severity != "refuse":
        findings.append(_speech(speech_s(speech_spans), SPEECH_MIN_S))
    if findings[-1].severity != "refuse":
        findings += _quality(samples, recording.sample_rate, speech_spans)
    return Report(tuple(findings))


def complete(
    report: Report,
    who: Turns,
    language: tuple[str, float] | None,
    name: str = "",
    alone: tuple[float, float] | None = None,
) -> Report:
    """Add what only the models can tell.

    Args:
        report: check()'s.
        who: who speaks when.
        language: ISO 639-1 code and how sure it is; None when nobody spoke.
        name: what people call the language.
        alone: start and end in seconds of a part in which one person speaks; None where there is none.

    Returns:
        The report with ``speakers`` (cosine of the two most different voices) and ``language`` (code).
    """
    more = [_speakers(who, alone)]
    if language is not None and language[1] >= LANGUAGE_SURE:
        more.append(Finding("language", "info", language[0], None, f"The language heard is {name}."))
    return Report((*report.findings, *more))


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
    cloning.check_prompt_duration(recording.duration_s)
    cloning.check_prompt_text(prompt_text)
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
    limit = f"{cloning.REFERENCE_MIN_S:.0f}–{cloning.REFERENCE_MAX_S:.0f} s"
    message = f"The recording is {cloning.clock(duration_s)} min long."
    passed = Finding("duration", "ok", round(duration_s, 2), limit, message)
    return _limit(lambda: cloning.check_duration(duration_s), passed)


def _size(n_bytes: int) -> Finding:
    message = f"The file to clone from is {n_bytes / 1e6:.1f} MB."
    passed = Finding("size", "ok", n_bytes, cloning.REFERENCE_MAX_BYTES, message)
    return _limit(lambda: cloning.check_size(n_bytes), passed)


def _level(samples: np.ndarray) -> Finding:
    peak = _rounded(peak_dbfs(samples))
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


def _quality(samples: np.ndarray, sample_rate: int, spans: Spans) -> list[Finding]:
    snr_db = quality.snr_db(samples, sample_rate, spans)
    noisy = snr_db is not None and snr_db < NOISE_SNR_DB
    reducible = noise_share(samples, sample_rate) >= REDUCIBLE_SHARE
    return [
        _loudness(samples, sample_rate),
        _clipping(samples, sample_rate, spans),
        *([] if snr_db is None else [_noise(snr_db, reducible)]),
        _bandwidth(quality.bandwidth_hz(samples, sample_rate)),
        _hum(samples, sample_rate, reducible),
        _offset(samples),
        *([] if noisy else _echo(samples, sample_rate)),
        _edges(spans, len(samples) / sample_rate),
    ]


def _judged(
    good: bool, finding: tuple[str, float, float], messages: tuple[str, str], advice: str, cure: str = ""
) -> Finding:
    """Return a finding (code, measured, limit) with the first of two messages where it is good, else the second."""
    code, measured, limit = finding
    if good:
        return Finding(code, "ok", measured, limit, messages[0])
    return Finding(code, "warn", measured, limit, messages[1], advice, cure)


def _rounded(value: float, decimals: int = 1) -> float:
    """Round; what is nothing then is not below nothing: no person reads -0.0."""
    return round(value, decimals) + 0.0


def _loudness(samples: np.ndarray, sample_rate: int) -> Finding:
    long_enough = len(samples) >= LOUDNESS_BLOCK_S * sample_rate
    lufs = _rounded(max(integrated_loudness(samples, sample_rate), _FLOOR_DBFS)) if long_enough else _FLOOR_DBFS
    peak = _rounded(true_peak_dbtp(samples, sample_rate))
    gain_db = min(TARGET_LUFS - lufs, PEAK_CEILING_DBTP - peak)
    said = f"at {lufs:.0f} LUFS, its peaks at {peak:.1f} dBTP"
    return _judged(
        lufs >= QUIET_LUFS,
        ("loudness", lufs, QUIET_LUFS),
        (f"The voice is loud enough, {said}.", f"The voice is quiet, {said}; {QUIET_LUFS:.0f} LUFS is wanted."),
        f"Speak closer to the microphone{', or even out the volume' if gain_db >= GAIN_DB else ''}.",
        "volume" if gain_db >= GAIN_DB else "",
    )


def _clipping(samples: np.ndarray, sample_rate: int, spans: Spans) -> Finding:
    clipped_s = speech_s(quality.clipped_spans(samples, sample_rate))
    limit_s = round(CLIPPED_SHARE * speech_s(spans), 2)
    return _judged(
        clipped_s <= limit_s,
        ("clipping", round(clipped_s, 2), limit_s),
        ("Nothing is clipped.", f"{clipped_s:.1f} s are clipped: the microphone was too loud, and it crackles."),
        "Turn the microphone down and record again, or clone from a part without it.",
    )


def _noise(snr_db: float, reducible: bool) -> Finding:
    return _judged(
        snr_db >= NOISE_SNR_DB,
        ("noise", round(snr_db, 1), NOISE_SNR_DB),
        (
            f"The noise is {snr_db:.0f} dB below the voice.",
            f"The noise is only {snr_db:.0f} dB below the voice; {NOISE_SNR_DB:.0f} dB are wanted.",
        ),
        f"Record in a quieter room, closer to the microphone{OR_REDUCE if reducible else ''}.",
        "noise" if reducible else "",
    )


def _bandwidth(hz: float) -> Finding:
    return _judged(
        hz >= BANDWIDTH_HZ,
        ("bandwidth", round(hz), BANDWIDTH_HZ),
        (
            f"It holds frequencies up to {hz / 1000:.1f} kHz.",
            f"It ends at {hz / 1000:.1f} kHz, as telephones and strong compression do; the clone will sound dull.",
        ),
        "Use the original recording, or record with the microphone instead of a call.",
    )


def _hum(samples: np.ndarray, sample_rate: int, reducible: bool) -> Finding:
    found = quality.hum(samples, sample_rate)
    if found is None or found[1] < HUM_HEARD_DB:
        return Finding("hum", "ok", None, HUM_DB, "There is no hum.")
    mains, level_db = found
    message = f"The mains hum at {mains:.0f} Hz, {-level_db:.0f} dB below the recording."
    advice = "Move the microphone and its cable away from power supplies"
    if level_db <= HUM_DB:
        return Finding("hum", "info", round(level_db, 1), HUM_DB, message, f"{advice}.")
    advice += f"{OR_REDUCE if reducible else ''}."
    return Finding("hum", "warn", round(level_db, 1), HUM_DB, message, advice, "noise" if reducible else "")


def _offset(samples: np.ndarray) -> Finding:
    share = quality.dc_offset(samples)
    return _judged(
        share < DC_SHARE,
        ("dc", round(share, 4), DC_SHARE),
        ("It is centred.", f"It lies {share:.1%} of full scale off centre; below {DC_SHARE:.0%} is wanted."),
        "It does little harm; another microphone or sound card would cure it.",
    )


def _echo(samples: np.ndarray, sample_rate: int) -> list[Finding]:
    decay_s = quality.echo_s(samples, sample_rate)
    if decay_s is None:
        return []
    return [
        _judged(
            decay_s < ECHO_S,
            ("echo", round(decay_s, 2), ECHO_S),
            ("The room is dry.", f"The room echoes: sounds take {decay_s:.2f} s or more to die away."),
            "Record closer to the microphone, in a room with curtains, carpet or beds.",
        )
    ]


def _edges(spans: Spans, duration_s: float) -> Finding:
    before_s, after_s = quality.edges_s(spans, duration_s)
    longest_s = max(before_s, after_s)
    return _judged(
        longest_s <= EDGE_S,
        ("edges", round(longest_s, 1), EDGE_S),
        (
            "It begins and ends with the voice.",
            f"{before_s:.1f} s before and {after_s:.1f} s after the voice are empty.",
        ),
        "Cut them off, or clone from a part.",
    )


def _speakers(who: Turns, alone: tuple[float, float] | None) -> Finding:
    alike = round(who.alike, 2)
    heard = f"More than one voice is heard, alike by {alike:.2f} only: several people, or one whose sound changes."
    advice = (
        f"One is heard alone from {cloning.clock(alone[0])} to {cloning.clock(alone[1])}: clone from that part."
        if alone
        else f"Whose is wanted? None is alone for {cloning.REFERENCE_MIN_S:.0f} s, and a clone of several people is "
        "like nobody. Give a recording in which that person speaks alone."
    )
    return _judged(who.n_persons < 2, ("speakers", alike, SAME_SPEAKER), ("One person speaks.", heard), advice)
