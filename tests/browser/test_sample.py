"""What the page shows of a recording before it is cloned, in Chromium, and that what was chosen is what is cloned."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from clone.audio.reader import read, resample
from clone.audio.writer import mp3_bytes, wav_bytes
from tests.browser.driving import choose_novita, choose_turbo, open_drawer, upload
from tests.browser.test_page import assert_accessible_by_day_and_night

ADA = Path(__file__).parents[2] / "assets" / "examples" / "ada.m4a"


@pytest.fixture(scope="module")
def ada() -> tuple[np.ndarray, int]:
    recording = read(ADA)
    return recording.samples, recording.sample_rate


def looked_at(page: Page) -> None:
    expect(page.locator(".tb-report summary")).to_contain_text("Sound check")
    expect(page.locator(".tb-report summary")).not_to_contain_text("so far")


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_a_clean_recording(visit: Callable[..., Page], width: int, dark: bool) -> None:
    page = visit(width=width, dark=dark)
    upload(page, ADA)
    looked_at(page)
    expect(page.locator(".tb-wave polygon")).to_be_visible()
    assert page.locator(".tb-spectrum").evaluate("e => getComputedStyle(e, '::before').maskImage").startswith("url(")
    expect(page.locator("#voice-note")).to_contain_text("leave “Reduce noise” and “Even out the volume” off")
    expect(page.locator("#part")).to_be_hidden()
    expect(page.locator("#cures")).to_be_hidden()
    page.click(".tb-report summary")
    for name in ("Length", "Loudness", "Clipping", "Noise", "Bandwidth", "Hum", "Echo", "Speakers", "Language"):
        expect(page.locator(".tb-finding", has_text=name).first).to_be_visible()
    assert fits(page)


def test_an_over_long_recording_is_cloned_by_the_part_that_is_marked(
    visit: Callable[..., Page], ada: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    samples, rate = ada
    once = np.concatenate([samples, np.zeros(rate // 2, np.float32)])
    path = tmp_path / "long.mp3"
    path.write_bytes(mp3_bytes(np.tile(once, 320 * rate // len(once)), rate, 64_000))
    page = visit()
    upload(page, path)
    looked_at(page)
    expect(page.locator("#voice-note .tb-warn").first).to_contain_text("5:00 min are accepted. It is too much")
    expect(page.locator("#voice-note .tb-refuse")).to_have_count(0)
    expect(page.locator("#part-use input")).to_be_checked()
    page.locator("#part-start input[type=number]").fill("30")
    page.locator("#part-start input[type=number]").press("Enter")
    page.locator("#part-length input[type=number]").fill("20")
    page.locator("#part-length input[type=number]").press("Enter")
    page.click("#part-hear")
    expect(page.locator("#part-player")).to_contain_text("0:20")
    choose_turbo(page)
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#compare .tb-player[data-name=Original]")).to_have_attribute("data-duration", "20.00")


def test_the_part_is_dragged(visit: Callable[..., Page], ada: tuple[np.ndarray, int], tmp_path: Path) -> None:
    samples, rate = ada
    hiss = np.random.default_rng(1).standard_normal(len(samples)) * np.sqrt(np.mean(samples**2)) * 10 ** (-5 / 20)
    path = tmp_path / "half-noisy.wav"
    path.write_bytes(wav_bytes(np.concatenate([samples + hiss, samples]).astype(np.float32) / 2, rate))
    page = visit()
    upload(page, path)
    looked_at(page)
    start, length = (page.locator(f"#part-{name} input[type=number]") for name in ("start", "length"))
    page.uncheck("#part-use input")  # it is chosen where the sound changes: that may be another person
    expect(page.locator(".tb-key-best")).to_be_visible()
    before, long_s = float(start.input_value()), float(length.input_value())
    box = page.locator(".tb-wave").bounding_box()
    mark = page.locator(".tb-stretch").bounding_box()
    assert box is not None
    assert mark is not None
    per_s = box["width"] / float(page.locator(".tb-picture").get_attribute("data-duration") or 0)
    middle = box["y"] + box["height"] / 2
    page.mouse.move(mark["x"] + mark["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"], middle, steps=4)
    page.mouse.up()
    expect(page.locator("#part-use input")).to_be_checked()
    expect(start).to_have_value("0")
    assert before > 0.0
    assert float(length.input_value()) == pytest.approx(long_s, abs=0.1)
    expect(page.locator(".tb-key-stretch")).to_be_visible()
    page.mouse.move(box["x"] + long_s * per_s, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 12 * per_s, middle, steps=4)
    page.mouse.up()
    expect(start).to_have_value("0")
    page.wait_for_function("Math.abs(document.querySelector('#part-length input[type=number]').value - 12) < 0.5")


def in_turns(path: Path, *turns_s: float) -> Path:
    """Write a recording in which Ada and Ben take turns, so long each."""
    people = [read(ADA.with_name(name)) for name in ("ada.m4a", "ben.mp3")]
    said = [resample(each.samples, each.sample_rate, 24_000) for each in people]
    at, parts = [0, 0], []
    for i, turn_s in enumerate(turns_s):
        n = int(turn_s * 24_000)
        parts.append(said[i % 2][at[i % 2] : at[i % 2] + n])
        at[i % 2] += n
    path.write_bytes(wav_bytes(np.concatenate(parts), 24_000))
    return path


def part_of(page: Page) -> tuple[float, float]:
    start, length = (page.locator(f"#part-{name} input[type=number]") for name in ("start", "length"))
    return float(start.input_value()), float(start.input_value()) + float(length.input_value())


def test_of_two_people_it_is_asked_whose_voice(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit()
    upload(page, in_turns(tmp_path / "two.wav", 20, 18))
    looked_at(page)
    note, people = page.locator("#voice-note"), page.locator(".tb-people")
    expect(note.locator(".tb-verdict")).to_have_text("Two people")
    expect(note.locator(".tb-warn")).to_contain_text("More than one voice is heard")
    expect(note.locator(".tb-ok")).to_contain_text("Ready to clone from the part that is marked.")
    expect(note).to_contain_text("Other voices are left out.")
    expect(page.locator("#part-use input")).to_be_checked()
    expect(page.locator(".tb-key-stretch")).to_be_visible()
    one, other = people.get_by_role("radio").all()
    expect(one).to_be_checked()
    first = part_of(page)
    people.get_by_role("button", name="Play Voice B").click()
    page.wait_for_function("document.querySelectorAll('.tb-people audio')[1].currentTime > 0.05")
    one.focus()
    page.keyboard.press("ArrowDown")
    expect(other).to_be_checked()
    page.wait_for_function(f"Number(document.querySelector('#part-start input[type=number]').value) !== {first[0]}")
    second = part_of(page)
    assert sorted((first, second))[0][1] <= 20.05
    assert sorted((first, second))[1][0] >= 19.95
    page.uncheck("#part-use input")
    expect(other).not_to_be_checked()  # all of it is nobody's
    other.check()
    expect(page.locator("#part-use input")).to_be_checked()
    assert_accessible_by_day_and_night(page)
    page.wait_for_timeout(500)  # what is marked has come to the server
    page.reload()
    expect(other).to_be_checked()
    assert part_of(page) == second
    page.set_viewport_size({"width": 390, "height": 800})
    assert fits(page)


def test_who_speaks_too_little_is_told_so(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = visit(width=390, dark=True)
    upload(page, in_turns(tmp_path / "some.wav", 20, 6))
    looked_at(page)
    people = page.locator(".tb-people")
    expect(people.get_by_role("radio").first).to_be_checked()
    expect(people.get_by_role("radio").last).to_be_disabled()
    expect(people).to_contain_text(re.compile(r"B is heard alone for [56]\.\d s; at least 10 s are needed\."))
    people.get_by_role("button", name="Play Voice B").click()  # to hear who that is
    page.wait_for_function("document.querySelectorAll('.tb-people audio')[1].currentTime > 0.05")
    assert fits(page)
    page.locator("#uploaded button[aria-label=Clear]").click()
    expect(page.locator("#part")).to_be_hidden()
    upload(page, in_turns(tmp_path / "turns.wav", *[6] * 6))
    looked_at(page)
    expect(page.locator("#voice-note .tb-warn")).to_contain_text("Whose is wanted?")
    expect(page.locator("#voice-note")).not_to_contain_text("Ready to clone")
    expect(people.get_by_role("radio", disabled=True)).to_have_count(2)


def test_the_one_who_is_chosen_is_cloned_and_consent_is_of_one_person(
    visit: Callable[..., Page], tmp_path: Path
) -> None:
    page = visit()
    upload(page, in_turns(tmp_path / "two.wav", 14, 13))
    looked_at(page)
    choose_turbo(page)
    page.fill("#text textarea", "")
    page.locator(".tb-people input").last.check()
    start_s, end_s = part_of(page)
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#result")).to_be_visible()
    length = page.locator("#compare .tb-player[data-name=Original]").get_attribute("data-duration")
    assert float(length or 0) == pytest.approx(end_s - start_s, abs=0.1)
    page.click("#change")
    expect(page.locator("#consent input")).to_be_checked()
    expect(page.locator(".tb-people input").last).to_be_checked()
    assert part_of(page) == (start_s, end_s)
    page.locator(".tb-people input").first.check()
    expect(page.locator("#consent input")).not_to_be_checked()


def test_what_the_hosted_service_would_say_is_said_to_who_chose_it(
    visit: Callable[..., Page], ada: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    samples, rate = ada
    path = tmp_path / "short.wav"
    path.write_bytes(wav_bytes(samples[: 5 * rate], rate))
    page = visit()
    upload(page, path)
    looked_at(page)
    expect(page.locator("#voice-note .tb-refuse")).to_contain_text("at least 10 s")
    expect(page.get_by_text("Novita would refuse it too")).to_be_hidden()
    expect(page.locator("#cures")).to_be_hidden()
    expect(page.locator("#voice-note")).not_to_contain_text("Reduce noise")
    choose_novita(page)
    expect(page.get_by_text("Novita would refuse it too, with 2037")).to_be_visible()


def test_a_prompt_clip_from_the_recording(visit: Callable[..., Page]) -> None:
    page = visit()
    upload(page, ADA)
    looked_at(page)
    open_drawer(page, "#advanced")
    open_drawer(page, "#closer")
    page.click("#prompt-take")
    expect(page.locator("#prompt-match")).to_contain_text("enough")
    text = page.locator("#prompt-text textarea")
    assert text.input_value().endswith((".", "?", "!"))
    expect(page.locator("#prompt-note")).to_contain_text("Please read the transcript")
    words = text.input_value().split()
    text.fill(" ".join(["Nonsense", *words[1:]]))
    expect(page.locator("#prompt-match mark")).to_have_text("Nonsense")
    text.fill("Something else altogether.")
    expect(page.locator("#prompt-match")).to_contain_text("not enough")
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#prompt-note")).to_contain_text("matches the prompt clip by")
    text.fill(" ".join(words))
    expect(page.locator("#prompt-note .tb-said")).to_have_count(0)
    expect(page.locator("#prompt-match mark")).to_have_count(0)
    text.fill("Something else altogether.")
    expect(page.locator("#prompt-match")).to_contain_text("not enough")
    page.click("#clone")
    expect(page.locator("#prompt-note")).to_contain_text("matches the prompt clip by")
    page.click("#prompt-transcribe")
    expect(page.locator("#prompt-match mark")).to_have_count(0)
    expect(page.locator("#prompt-note .tb-said")).to_have_count(0)
    assert text.input_value().split() == words


def test_cures_are_heard_before_they_are_used(
    visit: Callable[..., Page], ada: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    samples, rate = ada
    hiss = np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    noisy = 0.02 * (samples + hiss * np.sqrt(np.mean(samples**2)) * 10 ** (-10 / 20))
    path = tmp_path / "noisy.wav"
    path.write_bytes(wav_bytes(noisy.astype(np.float32), rate))
    page = visit(dark=True)
    upload(page, path)
    looked_at(page)
    expect(page.locator("#cures-note")).to_contain_text("“Even out the volume” and “Reduce noise”")
    page.click("#cures-compare")
    expect(page.locator("#cures-note")).to_contain_text("Measured: the pauses -")
    expect(page.locator("#cures-both [role=radio]")).to_have_text(["Before", "After"])
    page.click("#cures-apply")
    expect(page.locator("#noise input")).to_be_checked()
    expect(page.locator("#volume input")).to_be_checked()


def test_nothing_of_one_recording_is_left_for_the_next(
    visit: Callable[..., Page], ada: tuple[np.ndarray, int], tmp_path: Path
) -> None:
    samples, rate = ada
    path = tmp_path / "three.wav"
    path.write_bytes(wav_bytes(np.tile(samples, 3), rate))
    page = visit()
    upload(page, path)
    looked_at(page)
    expect(page.locator("#part")).to_be_visible()
    page.check("#part-use input")
    page.locator("#uploaded button[aria-label=Clear]").click()
    expect(page.locator("#part")).to_be_hidden()
    expect(page.locator("#uploaded button.upload-container")).to_be_focused()
    upload(page, ADA)
    looked_at(page)
    expect(page.locator("#part")).to_be_hidden()
    choose_turbo(page)
    page.check("#consent input")
    page.click("#clone")
    expect(page.locator("#compare .tb-player[data-name=Original]")).to_have_attribute("data-duration", "23.47")
