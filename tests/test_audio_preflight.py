from __future__ import annotations

import json

import numpy as np
import pytest

from clone.audio.preflight import (
    PROMPT_SPEECH_MIN_S,
    SILENCE_PEAK_DBFS,
    SPEECH_MIN_S,
    Finding,
    Report,
    check,
    check_prompt,
    peak_dbfs,
    speech_s,
)
from clone.audio.reader import Recording
from clone.contract import cloning
from clone.core.errors import AudioError, PromptError
from tests import sounds

RATE = 16_000
SPANS = [(0.2, 4.0), (4.5, 9.0)]


def recording(duration_s: float, level: float = 0.3) -> Recording:
    return Recording(sounds.tone(duration_s, RATE, level=level), RATE, "wav", 1000, "0" * 64)


def refusal(report: Report) -> Finding:
    finding = report.refusal()
    assert finding is not None
    assert finding.advice
    return finding


def test_a_good_recording_passes_and_is_described() -> None:
    report = check(recording(12.0), 500_000, SPANS)
    assert report.refusal() is None
    report.raise_if_refused()
    assert [(f.code, f.severity) for f in report.findings][:4] == [
        ("duration", "ok"),
        ("size", "ok"),
        ("level", "ok"),
        ("speech", "ok"),
    ]
    measured = {f.code: f.measured for f in report.findings[:4]}
    assert measured == {"duration": 12.0, "size": 500_000, "level": pytest.approx(-10.5, abs=0.1), "speech": 8.3}


@pytest.mark.parametrize("beside", [-0.01, 0.0, 0.01])
def test_the_limits_of_duration_are_the_contracts_to_the_hair(beside: float) -> None:
    short, long = cloning.REFERENCE_MIN_S + beside, cloning.REFERENCE_MAX_S + beside
    assert (check(recording(short), 1, SPANS).refusal() is None) == (beside >= 0)
    assert (check(recording(long), 1, SPANS).refusal() is None) == (beside <= 0)


def test_too_short() -> None:
    finding = refusal(check(recording(9.2), 1, SPANS))
    assert (finding.code, finding.measured, finding.limit) == ("too_short", 9.2, cloning.REFERENCE_MIN_S)


def test_too_long() -> None:
    finding = refusal(check(recording(301.0), 1, SPANS))
    assert (finding.code, finding.measured, finding.limit) == ("too_long", 301.0, cloning.REFERENCE_MAX_S)


def test_too_big() -> None:
    n_bytes = cloning.REFERENCE_MAX_BYTES + 1
    assert check(recording(12.0), cloning.REFERENCE_MAX_BYTES, SPANS).refusal() is None
    finding = refusal(check(recording(12.0), n_bytes, SPANS))
    assert (finding.code, finding.measured, finding.limit) == ("too_big", n_bytes, cloning.REFERENCE_MAX_BYTES)


@pytest.mark.parametrize(("level", "dbfs"), [(0.0, -120.0), (0.0005, -66.0)])
def test_silence(level: float, dbfs: float) -> None:
    finding = refusal(check(recording(12.0, level), 1, []))
    assert finding.code == "silent"
    assert finding.measured == pytest.approx(dbfs, abs=0.1)
    assert finding.limit == SILENCE_PEAK_DBFS


@pytest.mark.parametrize("peak", [1.0, 0.999, 0.996])
def test_nothing_is_less_than_nothing(peak: float) -> None:
    samples = sounds.speechlike(12.0, RATE)
    whole = Recording(samples * np.float32(peak / np.abs(samples).max()), RATE, "wav", 1, "")
    report = check(whole, 1, SPANS)
    assert not [f for f in report.findings if "-0.0 " in f.message or str(f.measured) == "-0.0"]
    assert next(f for f in report.findings if f.code == "level").message == "Its loudest moment is at 0.0 dBFS."


def test_a_quiet_recording_is_not_silent() -> None:
    assert check(recording(12.0, 0.002), 1, SPANS).refusal() is None


@pytest.mark.parametrize("spans", [[], [(3.0, 3.4)], [(3.0, 3.4), (3.2, 3.6), (1.0, 1.3)]])
def test_no_speech(spans: list[tuple[float, float]]) -> None:
    finding = refusal(check(recording(12.0), 1, spans))
    assert (finding.code, finding.limit) == ("no_speech", SPEECH_MIN_S)
    assert finding.measured == pytest.approx(speech_s(spans))


def test_hard_limits_come_in_the_contracts_order() -> None:
    report = check(recording(5.0, 0.0), cloning.REFERENCE_MAX_BYTES + 1, [])
    assert [f.code for f in report.findings] == ["too_short", "too_big", "silent"]
    with pytest.raises(AudioError) as caught:
        report.raise_if_refused()
    error = caught.value
    assert (error.code, error.field, error.measured) == ("too_short", "audio", 5.0)
    assert error.advice


def test_a_report_is_json() -> None:
    report = check(recording(5.0, 0.0), 1, [])
    written = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert set(written["findings"][0]) == {
        "code",
        "severity",
        "measured",
        "limit",
        "message",
        "advice",
        "cure",
        "predicts",
    }
    assert [f["code"] for f in written["findings"]] == ["too_short", "size", "silent"]


def test_speech_is_counted_once() -> None:
    assert speech_s([]) == 0.0
    assert speech_s([(5.0, 6.0), (1.0, 2.0), (1.5, 2.5)]) == pytest.approx(2.5)


def test_peak() -> None:
    assert peak_dbfs(np.array([0.1, -1.0], np.float32)) == pytest.approx(0.0)
    assert peak_dbfs(np.zeros(0, np.float32)) == -120.0


# --- what would help ---


def humming(level: float, hiss: float = 0.0) -> Report:
    samples = sounds.speechlike(12.0, RATE) + sounds.tone(12.0, RATE, hz=50.0, level=level)
    samples += sounds.noise(12.0, RATE, level=hiss)
    return check(Recording(samples.astype(np.float32), RATE, "wav", 1, ""), 1, SPANS)


def finding(report: Report, code: str) -> Finding:
    return next(each for each in report.findings if each.code == code)


def test_a_hum_that_is_not_in_the_way_asks_for_no_cure() -> None:
    report = humming(0.015)
    assert finding(report, "hum").severity == "info"
    assert "reduce the noise" not in finding(report, "hum").advice
    assert report.cures() == ()


def test_what_would_change_nothing_is_not_advised() -> None:
    low = humming(0.2)  # below what noise reduction hears
    assert finding(low, "hum").severity == "warn"
    assert "reduce the noise" not in finding(low, "hum").advice
    assert low.cures() == ()


def test_what_helps_is_advised_in_one_place() -> None:
    report = humming(0.0, hiss=0.03)
    assert finding(report, "noise").cure == "noise"
    assert "or reduce the noise" in finding(report, "noise").advice
    assert report.cures() == ("noise",)
    quiet = check(recording(12.0, 0.005), 1, SPANS)
    assert "volume" in quiet.cures()
    assert "even out the volume" in finding(quiet, "loudness").advice
    clicking = sounds.tone(12.0, RATE, level=0.005)
    clicking[1000] = 1.0
    as_loud_as_it_gets = check(Recording(clicking, RATE, "wav", 1, ""), 1, SPANS)
    assert finding(as_loud_as_it_gets, "loudness").severity == "warn"
    assert "volume" not in as_loud_as_it_gets.cures()


def test_nothing_helps_a_recording_that_is_refused() -> None:
    noisy = humming(0.0, hiss=0.03).findings
    short = check(recording(5.0), 1, SPANS).findings[0]
    long = check(recording(301.0), 1, SPANS).findings[0]
    assert Report((short, *noisy)).cures() == ()
    assert Report((long, *noisy)).cures() == ("noise",)  # a part of it will be cloned


# --- prompt clips ---


def test_a_good_prompt_passes() -> None:
    check_prompt(recording(5.0), "This is what I say.", [(0.3, 4.0)])


@pytest.mark.parametrize(
    ("clip", "text", "spans", "code", "field"),
    [
        (recording(8.0), "Said.", [(0.3, 4.0)], "prompt_too_long", "prompt_audio"),
        (recording(5.0), "Said", [(0.3, 4.0)], "prompt_no_punctuation", "prompt_text"),
        (recording(5.0), "...", [(0.3, 4.0)], "prompt_no_letter", "prompt_text"),
        (recording(5.0, 0.0), "Said.", [], "prompt_silent", "prompt_audio"),
        (recording(5.0), "Said.", [], "prompt_no_speech", "prompt_audio"),
        (recording(5.0), "Said.", [(1.0, 1.0 + PROMPT_SPEECH_MIN_S / 2)], "prompt_no_speech", "prompt_audio"),
    ],
)
def test_a_bad_prompt_is_refused(
    clip: Recording, text: str, spans: list[tuple[float, float]], code: str, field: str
) -> None:
    with pytest.raises(PromptError) as caught:
        check_prompt(clip, text, spans)
    error = caught.value
    assert (error.code, error.field) == (code, field)
    assert error.advice
    assert "recording" not in error.message


def test_one_short_word_is_enough_of_a_prompt() -> None:
    check_prompt(recording(1.0), "Yes.", [(0.2, 0.2 + PROMPT_SPEECH_MIN_S)])
