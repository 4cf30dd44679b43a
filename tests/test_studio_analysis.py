"""What is shown of a recording before it is cloned, and that what was chosen is what is cloned."""

from __future__ import annotations

import json
import os
import shutil
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from clone.audio import enhance
from clone.audio.reader import Recording, read, resample
from clone.audio.writer import mp3_bytes, wav_bytes
from clone.cli import app
from clone.contract import cloning
from clone.core.errors import AudioError
from clone.core.likeness import in_words
from clone.studio import analysis
from clone.studio.facade import Studio
from tests.sounds import noise
from tests.studios import TEXT, last, order, refusal


@pytest.fixture(scope="module")
def long(examples: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of over five minutes: Ada over and over, with pauses."""
    ada = read(examples[0])
    pause = np.zeros(ada.sample_rate // 2, np.float32)
    n = int(cloning.REFERENCE_MAX_S / (ada.duration_s + 0.5)) + 1
    path = tmp_path_factory.mktemp("long") / "long.mp3"
    path.write_bytes(mp3_bytes(np.concatenate([ada.samples, pause] * n), ada.sample_rate, 64_000))
    return path


def test_a_recording_is_looked_at_in_two_looks(studio: Studio, examples: list[Path]) -> None:
    first, whole = list(studio.examine(examples[0]))
    assert (first.complete, whole.complete) == (False, True)
    codes = [finding.code for finding in first.report.findings]
    assert codes[:2] == ["duration", "size"]
    assert [finding.code for finding in whole.report.findings][: len(codes)] == codes
    told = {finding.code: finding for finding in whole.report.findings}
    assert (told["language"].measured, told["language"].message) == ("en", "The language heard is English.")
    assert first.picture.duration_s == pytest.approx(read(examples[0]).duration_s, abs=0.05)


def test_nothing_is_left_of_a_look_that_was_broken_off(studio: Studio, home: Path, examples: list[Path]) -> None:
    looking = studio.examine(examples[0])
    next(looking)
    looking.close()  # type: ignore[attr-defined]
    assert not any((home / "work").iterdir())


def test_only_the_chosen_stretch_is_cloned_and_kept(studio: Studio, examples: list[Path]) -> None:
    bounds = (5.0, 17.5)
    cloned = last(studio.clone(order(examples[0], segment=bounds)))
    kept = read(studio.audio(cloned.voice.voice_id, "ann", "reference"))
    whole = read(examples[0])
    assert kept.duration_s == pytest.approx(12.5, abs=0.01)
    part = whole.samples[int(5.0 * whole.sample_rate) :][: len(kept.samples)]
    assert float(np.abs(kept.samples - part[: len(kept.samples)]).max()) < 1e-3
    assert last(studio.clone(order(examples[0], segment=bounds))).replayed
    assert not last(studio.clone(order(examples[0], segment=(5.0, 17.0)))).replayed
    assert not last(studio.clone(order(examples[0]))).replayed


def test_an_over_long_recording_is_cloned_by_its_best_stretch(studio: Studio, long: Path) -> None:
    assert refusal(studio.clone(order(long))).code == "too_long"
    whole = list(studio.examine(long))[-1]
    found = whole.segment
    refused = whole.report.refusal()
    assert refused is not None
    assert refused.code == "too_long"
    assert found is not None
    assert cloning.REFERENCE_MIN_S <= found.end_s - found.start_s <= cloning.REFERENCE_MAX_S
    assert found.reasons
    cloned = last(studio.clone(order(long, segment=(found.start_s, found.end_s), text=TEXT)))
    assert cloned.voice.likeness > 0.5


@pytest.mark.parametrize("bounds", [(5.0, 5.0), (-1.0, 12.0), (6.0, 400.0), (20.0, 5.0), (float("nan"), 12.0)])
def test_a_stretch_outside_the_recording_is_refused(
    studio: Studio, examples: list[Path], bounds: tuple[float, float]
) -> None:
    assert refusal(studio.clone(order(examples[0], segment=bounds))).code == "bad_stretch"


def test_a_stretch_too_short_is_refused_as_the_contract_does(studio: Studio, examples: list[Path]) -> None:
    assert refusal(studio.clone(order(examples[0], segment=(1.0, 9.0)))).code == "too_short"


def test_before_and_after(studio: Studio, examples: list[Path], tmp_path: Path) -> None:
    ada = read(examples[0])
    hiss = noise(ada.duration_s, ada.sample_rate)[: len(ada.samples)]
    noisy = ada.samples * 0.05 + hiss / np.abs(hiss).max() * 0.004
    path = tmp_path / "noisy.wav"
    path.write_bytes(wav_bytes(noisy.astype(np.float32), ada.sample_rate))
    bounds = (0.0, 12.0)
    plain = studio.hear(path, bounds)
    assert plain.gain_db == plain.noise_db == 0.0
    assert len(plain.samples) / plain.sample_rate == pytest.approx(12.0, abs=0.01)
    assert studio.hear(path, bounds, noise=True).noise_db < -5
    louder = studio.hear(path, bounds, volume=True)
    assert louder.gain_db > 5
    loudness = enhance.integrated_loudness(louder.samples, louder.sample_rate)
    assert loudness == pytest.approx(enhance.TARGET_LUFS, abs=1.0)


def test_check_on_the_command_line_says_all(home: Path, long: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["check", str(long), "--json"]) == app.REFUSED
    said = json.loads(capsys.readouterr().out)
    assert said["findings"][0]["code"] == "too_long"
    assert said["segment"]["end_s"] > said["segment"]["start_s"]
    start, end = said["segment"]["start_s"], said["segment"]["end_s"]
    assert app.main(["clone", str(long), "--consent", "--segment", str(start), str(end), "--json"]) == app.DONE
    assert json.loads(capsys.readouterr().out)["voice_id"]


def of_two(examples: list[Path], path: Path, turns_s: list[float], n_people: int = 2) -> Path:
    """Write a recording in which Ada and Ben, and Cleo where it is of three, take turns, so long each, equally loud."""
    people = []
    for example in examples[:n_people]:
        recording = read(example)
        samples = resample(recording.samples, recording.sample_rate, 24_000)
        people.append(samples * np.float32(0.05 / np.sqrt(np.mean(samples**2))))
    said, at = [], [0] * n_people
    for i, turn_s in enumerate(turns_s):
        n, whose = int(turn_s * 24_000), i % n_people
        said += [people[whose][at[whose] : at[whose] + n], np.zeros(24_000 // 3, np.float32)]
        at[whose] += n
    path.write_bytes(wav_bytes(np.concatenate(said), 24_000))
    return path


@pytest.mark.parametrize("turns_s", [[20.0, 20.0], [3.5, 12.5, 3.5, 12.0, 3.5]])
def test_of_two_people_one_is_chosen_alone(
    studio: Studio, examples: list[Path], tmp_path: Path, turns_s: list[float]
) -> None:
    whole = list(studio.examine(of_two(examples, tmp_path / "two.wav", turns_s)))[-1]
    assert whole.is_of_several
    found = whole.segment
    assert found is not None
    assert found.end_s - found.start_s >= cloning.REFERENCE_MIN_S
    ends_s = np.cumsum([turn_s + 1 / 3 for turn_s in turns_s])
    assert np.searchsorted(ends_s - 1 / 3, found.start_s + 0.2) == np.searchsorted(ends_s, found.end_s - 0.2)
    assert "Other voices are left out." in found.reasons
    said = next(each for each in whole.report.findings if each.code == "speakers")
    assert said.severity == "warn"
    assert f"from {cloning.clock(found.start_s)} to {cloning.clock(found.end_s)}" in said.advice


def turn_of(part: tuple[float, float], turns_s: list[float]) -> int:
    """Return in which turn a part lies; it lies in one alone, but for the pause at its end."""
    ends_s = np.cumsum([turn_s + 1 / 3 for turn_s in turns_s])
    first, last = np.searchsorted(ends_s, part[0] + 0.2), np.searchsorted(ends_s - 1 / 3, part[1] - 0.35)
    assert first == last, (part, turns_s)
    return int(first)


@pytest.mark.parametrize(
    ("turns_s", "n_people", "clonable"),
    [
        ([20.0, 18.0], 2, [True, True]),
        ([14.0, 13.0, 14.0], 3, [True, True, True]),
        ([3.5, 12.5, 3.5, 12.0, 3.5], 2, [True, False]),  # who speaks most comes first
        ([6.0] * 6, 2, [False, False]),
        ([13.0, 3.0, 10.0, 3.0], 2, [True, False]),
        ([10.9, 1.0, 10.9, 14.0], 2, [True, True]),  # a word that is put in
    ],
)
def test_of_each_person_the_part_that_can_be_cloned_holds_nobody_else(
    studio: Studio,
    examples: list[Path],
    tmp_path: Path,
    turns_s: list[float],
    n_people: int,
    clonable: list[bool],
) -> None:
    whole = list(studio.examine(of_two(examples, tmp_path / "several.wav", turns_s, n_people)))[-1]
    assert [each.part is not None for each in whole.people] == clonable
    whose = [turn_of(each.part or each.longest, turns_s) % n_people for each in whole.people]
    assert sorted(whose) == list(range(n_people))
    for each in whole.people:
        if each.part is not None:
            assert each.part[1] - each.part[0] >= cloning.REFERENCE_MIN_S
        else:
            assert 2.0 < each.longest[1] - each.longest[0] < cloning.REFERENCE_MIN_S
    if whole.segment is not None:
        assert (whole.segment.start_s, whole.segment.end_s) in [each.part for each in whole.people]


def test_where_nobody_is_alone_for_long_enough_it_is_asked_who_is_wanted(
    studio: Studio, examples: list[Path], tmp_path: Path
) -> None:
    whole = list(studio.examine(of_two(examples, tmp_path / "turns.wav", [6.0] * 6)))[-1]
    assert whole.is_of_several
    assert whole.segment is None
    assert "Whose is wanted?" in next(each for each in whole.report.findings if each.code == "speakers").advice


def test_two_people_cloned_as_one_have_no_likeness_that_could_be_told(
    studio: Studio, examples: list[Path], tmp_path: Path
) -> None:
    two = of_two(examples, tmp_path / "two.wav", [20.0, 20.0])
    alike = last(studio.clone(order(two, text=TEXT))).alike
    assert alike.share is None
    assert "More than one voice" in in_words(alike)
    assert last(studio.clone(order(two, text=TEXT, segment=(0.0, 19.0)))).alike.share is not None


@pytest.mark.parametrize("i", [0, 1, 2])
def test_one_person_is_one_person(studio: Studio, examples: list[Path], i: int) -> None:
    whole = list(studio.examine(examples[i]))[-1]
    assert not whole.is_of_several
    assert whole.people == ()


def test_a_half_distorted_recording_of_one_person_is_of_one_person(
    studio: Studio, examples: list[Path], tmp_path: Path
) -> None:
    ben = read(examples[1])
    half = len(ben.samples) // 2
    loud = np.clip(ben.samples[:half] / np.abs(ben.samples).max() * 30, -1, 1)
    path = tmp_path / "half.wav"
    path.write_bytes(wav_bytes(np.concatenate([loud, ben.samples[half:]]).astype(np.float32), ben.sample_rate))
    found = {finding.code: finding for finding in studio.check(path).findings}
    assert found["clipping"].severity == "warn"
    assert found["speakers"].severity == "ok"


# what was checked a moment ago


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that was read."""
    paths: list[Path] = []

    def counted(path: Path, **how: object) -> Recording:
        paths.append(path)
        return read(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(analysis, "read", counted)
    return paths


@pytest.fixture
def recording(examples: list[Path], tmp_path: Path) -> Path:
    return Path(shutil.copyfile(examples[0], tmp_path / "recording.mp3"))


def test_a_checked_recording_is_cloned_without_being_read_again(
    studio: Studio, examples: list[Path], recording: Path, reads: list[Path]
) -> None:
    report = studio.check(recording)
    assert report.refusal() is None
    checked = last(studio.clone(order(recording))).voice
    assert reads == [recording]
    other = last(studio.clone(order(examples[0], owner="ben"))).voice  # the same bytes, never looked at
    assert reads == [recording, examples[0]]
    kept = [studio._library.read(voice, "profile.npz") for voice in (checked, other)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("change", ["touched", "replaced", "part", "rested", "aged"])
def test_what_is_no_longer_the_same_is_read_again(
    studio: Studio,
    recording: Path,
    reads: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    looking = studio._examining
    first = looking.look(recording)
    assert looking.look(recording) is first
    assert len(reads) == 1
    if change == "touched":
        os.utime(recording, ns=(1, 1))
    elif change == "replaced":
        stat = recording.stat()
        other = recording.with_name("other")
        other.write_bytes(bytes(len(recording.read_bytes())))
        os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        other.replace(recording)
        with pytest.raises(AudioError):
            looking.look(recording)
    elif change == "rested":
        studio._rest()
    elif change == "aged":
        monkeypatch.setattr(analysis, "RECENT_S", 0.0)
    if change != "replaced":
        looking.look(recording, (1.0, 12.0) if change == "part" else None)
    assert len(reads) == 2


def test_what_is_kept_of_a_recording_goes_with_it(
    studio: Studio, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis, "_DROPPED_EVERY_S", 0.02)
    looking = studio._examining
    kept = weakref.ref(looking.look(recording))
    assert kept() is not None
    recording.unlink()
    until_s = time.monotonic() + 20
    while kept() is not None and time.monotonic() < until_s:
        time.sleep(0.02)
    assert kept() is None
    with pytest.raises(AudioError):
        looking.look(recording)


def test_more_than_there_is_room_for_is_not_kept(
    studio: Studio, examples: list[Path], recording: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = studio._examining
    n_bytes = looking.look(recording).recording.samples.nbytes
    monkeypatch.setattr(analysis, "RECENT_MAX_BYTES", n_bytes + 1_000_000)
    looking.look(examples[1])
    looking.look(examples[1])
    assert reads == [recording, examples[1]]
    looking.look(recording)
    assert reads == [recording, examples[1], recording]
    part = looking.look(recording, (1.0, 12.0))
    assert part.recording.samples.base is None  # all of it would stay with the part
    monkeypatch.setattr(analysis, "RECENT_MAX_BYTES", 1_000)
    looking.look(examples[1])
    looking.look(examples[1])
    assert len(reads) == 6
