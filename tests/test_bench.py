"""The bench's own arithmetic; what it measures with is installed by `make bench` alone."""

import numpy as np
import pytest
import soundfile

from bench import report, speakers


def cells(system, likeness, **changes):
    values = {"errors": 0, "words": 20, "dnsmos": 3.1, "took_s": 1.0, "duration_s": 10.0} | changes
    return [
        report.Measured(str(speaker), system, "", {"resemblyzer": likeness + 0.01 * speaker}, **values)
        for speaker in range(4)
        for _ in range(5)
    ]


@pytest.fixture
def found():
    stages = {"kokoro_alone_s": 5.0, "hd_clone_s": 7.0, "turbo_clone_s": 2.0, "ratio_hd": 1.4, "ratio_turbo": 0.4}
    measured = [
        *cells("hd", 0.5, took_s=6.0),
        *cells("turbo", 0.3, errors=1),
        *cells("stock", 0.2),
        *cells("real", 0.9, words=0, took_s=None, dnsmos=3.2),
    ]
    return report.figures(measured, stages | {"hd": {"Speaking": 6.0}, "turbo": {"Speaking": 1.0}})


def test_a_system_s_figures_are_means_over_its_clips(found):
    turbo, real = found["systems"]["turbo"], found["systems"]["real"]
    assert turbo["likeness"]["resemblyzer"]["value"] == pytest.approx(0.315)
    assert turbo["wer"] == pytest.approx(1 / 20)
    assert turbo["rtf"] == pytest.approx(0.1)
    assert real["wer"] is None
    assert real["rtf"] is None
    assert found["stages_s"]["speak_turbo_rtf"] == turbo["rtf"]


def test_the_interval_holds_the_mean_and_knows_that_clips_of_one_speaker_are_alike(found):
    figure = found["systems"]["hd"]["likeness"]["resemblyzer"]
    low, high = figure["ci95"]
    assert low < figure["value"] < high
    # Twenty independent clips would give 0.01 at most; four speakers give about twice that.
    assert high - low > 0.015
    assert report.interval(cells("hd", 0.5), "resemblyzer") == (low, high)


def test_goals_say_what_is_reached_and_what_is_not(found):
    reached = {goal["goal"]: goal["reached"] for goal in found["goals"]}
    assert reached["hd: likeness by Resemblyzer"] is True
    assert reached["turbo: likeness by Resemblyzer"] is False
    assert reached["turbo: word error rate"] is False
    assert reached["hd: cloning time by Kokoro alone"] is True
    text = report.table(found)
    assert "FAIL  turbo: word error rate" in text
    assert "pass  hd: word error rate" in text


def test_a_folder_is_cut_into_what_is_cloned_and_what_is_held_out(tmp_path):
    for speaker in ("ann", "bob"):
        (tmp_path / speaker).mkdir()
        for i in range(10):
            tone = 0.1 * np.sin(2 * np.pi * (200 + 20 * i) * np.arange(7 * 16_000) / 16_000)
            soundfile.write(tmp_path / speaker / f"{i}.wav", tone, 16_000)
    ann, bob = speakers.load(tmp_path)
    assert (ann.name, bob.name) == ("ann", "bob")
    assert len(ann.reference) == 30 * 16_000
    assert len(ann.true_voice) == 35 * 16_000
    assert [len(piece) for piece in ann.pieces(5)] == [10 * 16_000] * 3
    spectrum = np.abs(np.fft.rfft(ann.true_voice[: 7 * 16_000]))
    assert spectrum.argmax() / 7 == pytest.approx(300, abs=1)  # the sixth file begins what is held out


def test_one_speaker_is_too_few(tmp_path):
    with pytest.raises(SystemExit, match="at least 2"):
        speakers.load(tmp_path)
