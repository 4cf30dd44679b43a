"""The bench's own arithmetic; what it measures with is installed by `make bench` alone."""

import json

import numpy as np
import pytest
import soundfile

from bench import compare, drift, intervals, kept, long_text, manner, report, speakers
from bench.intervals import Value
from bench.texts import TEXTS, texts_of
from clone.contract.cloning import SPEECH_TASK_MAX_CHARS

RATE = 16_000


def cells(system, likeness, **changes):
    values = {"errors": 0, "words": 20, "dnsmos": 3.1, "pitch_st": -0.4, "pitch_range": 0.8, "rate_pct": 5.0}
    values |= {"took_s": 1.0, "cpu_s": 2.0, "duration_s": 10.0} | changes
    return [
        report.Measured(str(speaker), system, text, "", dict.fromkeys(("resemblyzer", "both"), mine), **values)
        for speaker in range(4)
        for text in range(5)
        for mine in [likeness + 0.01 * speaker]
    ]


def measured(**hd):
    return [
        *cells("hd", **{"likeness": 0.5, "took_s": 6.0} | hd),
        *cells("turbo", 0.3, errors=1),
        *cells("stock", 0.2),
        *cells("real", 0.9, words=0, took_s=None, cpu_s=None, dnsmos=3.2),
    ]


@pytest.fixture
def found():
    stages = {
        "kokoro_alone_s": 5.0,
        "kokoro_alone_speech_s": 10.0,
        "hd_clone_speech_s": 10.0,
        "turbo_clone_speech_s": 10.0,
        "hd_clone_s": 7.0,
        "turbo_clone_s": 2.0,
        "ratio_hd": 1.4,
        "ratio_turbo": 0.4,
    }
    return report.figures(measured(), "folders", stages | {"hd": {"Speaking": 6.0}, "turbo": {"Speaking": 1.0}})


def run(**hd):
    """What `--json` keeps, as far as a comparison reads it."""
    names = [str(speaker) for speaker in range(4)]
    with_dvector = measured(**hd)
    for cell in with_dvector:
        cell.likeness["dvector"] = cell.likeness["both"]
    plan = {"speakers": dict.fromkeys(names, "0123"), "texts": dict.fromkeys(names, TEXTS)}
    return json.loads(json.dumps(report.figures(with_dvector, "folders", None) | plan))


def tone(hz, seconds=7.0):
    return 0.1 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def test_a_system_s_figures_are_means_over_its_clips(found):
    turbo, real = found["systems"]["turbo"], found["systems"]["real"]
    assert turbo["likeness"]["resemblyzer"]["value"] == pytest.approx(0.315)
    assert turbo["wer"] == pytest.approx(1 / 20)
    assert turbo["pitch_st"]["value"] == pytest.approx(0.4)
    assert turbo["rtf"] == pytest.approx(0.1)
    assert turbo["cpu_factor"] == pytest.approx(0.2)
    assert real["wer"] is None
    assert real["rtf"] is None
    assert found["stages_s"]["speak_turbo_rtf"] == turbo["rtf"]


def test_a_lower_and_a_higher_pitch_do_not_make_up_for_each_other():
    mixed = [*cells("hd", 0.5, pitch_st=2.0), *cells("hd", 0.5, pitch_st=-2.0)]
    others = [cell for system in ("turbo", "stock", "real") for cell in cells(system, 0.5)]
    systems = report.figures([*mixed, *others], "files", None)["systems"]
    assert systems["hd"]["pitch_st"]["value"] == pytest.approx(2.0)


def test_the_interval_holds_the_mean_and_knows_that_clips_of_one_speaker_are_alike(found):
    figure = found["systems"]["hd"]["likeness"]["resemblyzer"]
    low, high = figure["ci95"]
    assert low < figure["value"] < high
    # Twenty independent clips would give 0.01 at most; four speakers give about twice that.
    assert high - low > 0.015
    assert intervals.interval([Value(c.speaker, c.likeness["both"]) for c in cells("hd", 0.5)]) == (low, high)


def test_an_interval_counts_by_weight_and_takes_speakers_who_say_more_than_others():
    values = [Value("ann", 1.0, 30.0), Value("ann", 0.0, 10.0), Value("bob", 0.0, 40.0)]
    assert intervals.mean(values) == pytest.approx(30 / 80)
    low, high = intervals.interval(values)
    assert low == 0.0
    assert 0.5 < high <= 1.0


def test_goals_say_what_is_reached_and_tell_what_must_hold_from_what_is_aimed_at(found):
    reached = {(goal["kind"], goal["goal"]): goal["reached"] for goal in found["goals"]}
    assert reached["must", "hd: likeness by Resemblyzer"] is True
    assert reached["must", "turbo: likeness by Resemblyzer"] is False
    assert reached["must", "turbo: word error rate"] is False
    assert reached["must", "hd: cloning time by Kokoro alone"] is True
    assert reached["aim", "hd: cloning time by Kokoro alone"] is False
    assert reached["aim", "hd: pitch off, semitones"] is True
    text = report.table(found)
    assert "FAIL  must  turbo: word error rate" in text
    assert "pass  must  hd: word error rate" in text
    assert "short aim   hd: likeness by both encoders" in text


def test_without_timing_no_goal_is_about_time():
    untimed = report.figures(measured(took_s=None), "files", None)
    assert not any("time" in goal["goal"] for goal in untimed["goals"])
    assert "Nothing was timed." in report.table(untimed)


def test_a_folder_of_folders_is_cut_into_what_is_cloned_and_what_is_held_out(tmp_path):
    for speaker in ("ann", "bob"):
        (tmp_path / speaker).mkdir()
        for i in range(10):
            soundfile.write(tmp_path / speaker / f"{i}.wav", tone(200 + 20 * i), RATE)
    people = speakers.read_folder(tmp_path)
    ann, bob = people.speakers
    assert people.protocol == "folders"
    assert (ann.name, bob.name) == ("ann", "bob")
    assert len(ann.reference) == 30 * RATE
    assert len(ann.true_voice) == 35 * RATE
    assert [len(piece) for piece in ann.pieces(5)] == [10 * RATE] * 3
    spectrum = np.abs(np.fft.rfft(ann.true_voice[: 7 * RATE]))
    assert spectrum.argmax() / 7 == pytest.approx(300, abs=1)  # the sixth file begins what is held out


def test_of_single_recordings_the_first_ten_seconds_are_cloned_and_too_short_ones_are_named(tmp_path):
    for name, seconds in {"ann": 15.0, "bob": 13.0, "cat": 16.5}.items():
        soundfile.write(tmp_path / f"{name}.wav", tone(200, seconds), RATE)
    people = speakers.read_folder(tmp_path)
    assert people.protocol == "files"
    assert [person.name for person in people.speakers] == ["ann", "cat"]
    assert people.left_out == ["bob"]
    ann = people.speakers[0]
    assert len(ann.reference) == 10 * RATE
    assert len(ann.true_voice) == 5 * RATE
    assert [len(piece) for piece in ann.pieces(5)] == [5 * RATE]
    (tmp_path / "cat.wav").unlink()
    with pytest.raises(SystemExit, match="1 speakers, 1 more are too short; at least 2"):
        speakers.read_folder(tmp_path)


def test_one_speaker_is_too_few(tmp_path):
    with pytest.raises(SystemExit, match="at least 2"):
        speakers.load(tmp_path)


def test_fewer_speakers_and_texts_are_spread_evenly():
    assert speakers.evenly(list(range(27)), 3) == [0, 13, 26]
    assert speakers.evenly([1, 2], 5) == [1, 2]
    assert texts_of(3, len(TEXTS)) == TEXTS
    assert {text for turn in range(len(TEXTS)) for text in texts_of(turn, 1)} == set(TEXTS)
    assert texts_of(0, 2) + texts_of(1, 2) == TEXTS[:4]


def test_pitch_is_told_with_its_range_and_silence_has_none():
    phase = np.cumsum(200 * 2 ** (np.sin(2 * np.pi * np.arange(2 * RATE) / RATE) / 12)) / RATE
    hz, range_st = manner.pitch(np.sin(2 * np.pi * phase).astype(np.float32))
    assert hz == pytest.approx(200, rel=0.01)
    assert range_st == pytest.approx(1 / np.sqrt(2), abs=0.1)
    assert manner.pitch(np.zeros(RATE, np.float32)) == (0.0, 0.0)
    assert manner.pitch(np.zeros(10, np.float32)) == (0.0, 0.0)


def test_the_rate_counts_sounds_by_seconds_of_speech():
    n_sounds = manner.n_phonemes(["ðə ˈOld bˈOt, ˌɔn", "sˈiː!"])
    assert n_sounds == 12
    assert manner.rate(n_sounds, [(0.0, 1.0), (2.0, 2.5)]) == pytest.approx(12 / 1.5)
    assert manner.rate(n_sounds, []) == 0.0


def test_errors_of_manner_have_a_sign():
    person = manner.Manner(200.0, 3.0, 10.0)
    errors = manner.errors(manner.Manner(100.0, 1.5, 12.0), person)
    assert errors == pytest.approx({"pitch_st": -12.0, "pitch_range": 0.5, "rate_pct": 20.0})
    silent = manner.errors(manner.Manner(0.0, 0.0, 0.0), person)
    assert silent == {"pitch_st": manner.UNVOICED_ST, "pitch_range": 0.0, "rate_pct": -100.0}


def test_what_was_measured_of_a_sound_is_not_measured_again(tmp_path):
    sound, other = np.zeros(5, np.float32), np.ones(5, np.float32)
    assert kept.Kept(tmp_path / "new").get("pitch", sound, lambda: [1.0]) == [1.0]
    again = kept.Kept(tmp_path / "new")
    assert again.get("pitch", sound, lambda: [2.0]) == [1.0]
    assert again.get("pitch", other, lambda: [3.0]) == [3.0]
    assert again.get("rate", sound, lambda: [4.0]) == [4.0]
    nowhere = kept.Kept(None)
    assert [nowhere.get("pitch", sound, lambda n=n: n) for n in (1, 2)] == [1, 1]


def test_a_small_gain_of_everyone_shows_though_speakers_differ_by_more():
    found = compare.differences(run(likeness=0.5), run(likeness=0.505))
    gain = found["hd"]["likeness by resemblyzer"]
    assert gain["value"] == pytest.approx(0.005)
    assert gain["ci95"][0] > 0
    assert gain["verdict"] == "better"
    assert found["turbo"]["likeness by resemblyzer"]["verdict"] == ""
    assert "pass  hd: closer by Resemblyzer" in compare.table(found)
    assert "FAIL  turbo: closer by Resemblyzer" in compare.table(found)


def test_of_some_measures_less_is_better():
    worse = {"errors": 2, "pitch_st": -1.0, "rate_pct": -2.0, "dnsmos": 3.0}
    found = compare.differences(run(), run(**worse))["hd"]
    assert found["wrong words, per cent"]["value"] == pytest.approx(10.0)
    assert found["wrong words, per cent"]["verdict"] == "worse"
    assert found["pitch off, semitones"]["verdict"] == "worse"
    assert found["rate off, per cent"]["verdict"] == "better"
    assert found["DNSMOS"]["verdict"] == "worse"
    assert "FAIL  hd: DNSMOS lower by at most" in compare.table({"hd": found})


def test_only_the_engine_may_differ_between_two_runs(tmp_path):
    before = run()
    compare.check_alike(before, run(likeness=0.9))
    others = before | {"speakers": {"0": "0123", "5": "0123"}}
    with pytest.raises(SystemExit, match="only before: 1, 2, 3; only after: 5"):
        compare.check_alike(before, others)
    with pytest.raises(SystemExit, match="recordings differ of 2"):
        compare.check_alike(before, before | {"speakers": before["speakers"] | {"2": "4567"}})
    with pytest.raises(SystemExit, match="differ for 3"):
        compare.check_alike(before, before | {"texts": before["texts"] | {"3": ["Another text."]}})
    with pytest.raises(SystemExit, match="One run was timed"):
        compare.check_alike(before, before | {"stages_s": {}})
    with pytest.raises(SystemExit, match="on folders, after on files"):
        compare.check_alike(before, before | {"protocol": "files"})
    (tmp_path / "old.json").write_text('{"clips": []}')
    with pytest.raises(SystemExit, match="lacks protocol, speakers, stages_s, texts"):
        compare.read(tmp_path / "old.json")


def test_two_kept_runs_are_compared_without_running(tmp_path, monkeypatch, capsys):
    for name, likeness in {"before": 0.5, "after": 0.6}.items():
        (tmp_path / name).write_text(json.dumps(run(likeness=likeness)))
    monkeypatch.setattr("sys.argv", ["compare", str(tmp_path / "before"), str(tmp_path / "after")])
    compare.main()
    assert "hd: likeness by both" in capsys.readouterr().out


def test_the_long_text_is_long_the_same_and_never_says_a_sentence_twice():
    text = long_text.text()
    assert text == long_text.text()
    assert 9_800 < len(text) <= 10_000 < SPEECH_TASK_MAX_CHARS
    parts = [part.strip() for part in text.replace("!", ".").replace("?", ".").split(".")]
    said = [part for part in parts if part]
    assert len(said) > 80
    assert len(set(said)) == len(said)


def test_a_drift_is_told_from_the_spread_of_sentences():
    random = np.random.default_rng(0)
    still = random.standard_normal(150)
    steady = drift.drift(still)
    assert steady["ci95"][0] < 0 < steady["ci95"][1]
    assert steady["spread"] == pytest.approx(1.0, abs=0.15)
    falling = drift.drift(np.where(np.arange(150) == 7, np.nan, still - np.linspace(0, 3, 150)))
    assert falling["change"] == pytest.approx(steady["change"] - 3, abs=0.1)
    assert falling["ci95"][1] < 0
    assert falling["first"] - falling["last"] > 2
