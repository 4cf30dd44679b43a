"""The use cases by their results: what is cloned, kept, spoken and forgotten."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clone.audio import enhance
from clone.audio.reader import read, resample
from clone.contract.cloning import REFERENCE_MAX_BYTES, RETENTION
from clone.core.errors import TaskError, TextError, VoiceError
from clone.core.settings import Settings
from clone.engine import profile as engine_profile
from clone.engine.backend import LocalBackend
from clone.engine.g2p import languages
from clone.engine.profile import Profile
from clone.storage.files import Store
from clone.storage.voices import Library, utc_now
from clone.studio.facade import Cloned, Document, Passage, Spoken, Stage, Studio
from tests.sounds import encode, noise
from tests.studios import HD, PROMPT, TEXT, TURBO, files_in, last, order, refusal, say

ROOT = Path(__file__).parent.parent


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def made(
    examples: list[Path], backend: LocalBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Studio, list[Any], Path]]:
    """A studio with a turbo preview of Ada, the news of its making, and its home."""
    home = tmp_path_factory.mktemp("made") / "home"
    studio = Studio(Settings.at(home), backend)
    yield studio, list(studio.clone(order(examples[0], text=f"{TEXT} Come back soon.", name="Ada"))), home
    studio.close()


def library_of(settings: Settings) -> Library:
    return Library(settings, Store(settings.store_url, settings.home / "copies"))


def profile_of(settings: Settings, cloned: Cloned) -> Profile:
    library = library_of(settings)
    profile = Profile.from_bytes(library.read(cloned.voice, "profile.npz"))
    library.close()
    assert profile is not None
    return profile


def says_what_it_is(path: Path, *told: str) -> bool:
    return all(each.encode() in path.read_bytes() for each in ("AI-generated", "Timbre", *told))


# cloning


def test_stages_in_order_and_the_result_at_the_end(made: tuple[Studio, list[Any], Path]) -> None:
    stages = list(dict.fromkeys(item for item in made[1] if isinstance(item, Stage)))
    assert [stage.name for stage in stages] == [
        "Reading the recording",
        "Checking the recording",
        "Learning the voice",
        "Speaking sentence 1 of 2",
        "Speaking sentence 2 of 2",
        "Comparing the clone with the original",
    ]
    assert [(stage.done, stage.total) for stage in stages] == [(i, 6) for i in range(6)]
    assert isinstance(made[1][-1], Cloned)
    assert not any(isinstance(item, Cloned) for item in made[1][:-1])


def test_a_clone_is_temporary_and_has_all_that_was_promised(
    made: tuple[Studio, list[Any], Path], examples: list[Path]
) -> None:
    studio, news, home = made
    voice = news[-1].voice
    assert studio.voices("ann") == [voice]
    assert not voice.permanent
    assert voice.expires_at == voice.created_at + RETENTION
    assert (voice.name, voice.model, voice.backend, voice.consent_by) == ("Ada", TURBO, "local", "ann")
    alike = news[-1].alike
    assert alike.typical_stock < alike.cosine < alike.ceiling <= 1
    assert 40 < alike.n_stock_beaten <= alike.n_stock == 54
    assert 3 <= alike.n_pieces <= 10
    assert 0 <= alike.n_pieces_reached < alike.n_pieces
    assert studio.audio(voice.voice_id, "ann", "reference").read_bytes() == examples[0].read_bytes()
    preview = read(studio.audio(voice.voice_id, "ann", "preview"))
    assert preview.format == "mp3"
    assert 1.5 < preview.duration_s < 8
    assert says_what_it_is(studio.audio(voice.voice_id, "ann", "preview"), voice.voice_id, TURBO)
    assert files_in(home / "work") == []


def test_without_a_text_there_is_no_preview(studio: Studio, examples: list[Path]) -> None:
    cloned = last(studio.clone(order(examples[1])))
    assert cloned.alike is cloned.voice.likeness is None
    assert set(cloned.voice.files) == {"reference.mp3", "profile.npz"}
    with pytest.raises(VoiceError):
        studio.audio(cloned.voice.voice_id, "ann", "preview")


def test_an_hd_clone(studio: Studio, examples: list[Path]) -> None:
    text = "The train to the coast leaves tomorrow morning, so we have to get up early."  # three words tell too little
    cloned = last(studio.clone(order(examples[2], text=text, model=HD)))
    assert cloned.voice.model == HD
    assert 0.6 < cloned.alike.cosine <= cloned.alike.ceiling


def test_the_same_request_gives_the_stored_voice_and_any_other_a_new_one(
    made: tuple[Studio, list[Any], Path], examples: list[Path], tmp_path: Path
) -> None:
    studio, news, _ = made
    again = order(examples[0], text=f"{TEXT} Come back soon.", name="another name")
    elsewhere = tmp_path / "copy.bin"
    elsewhere.write_bytes(examples[0].read_bytes())
    for same in (again, replace(again, audio=elsewhere)):
        answered = last(studio.clone(same))
        assert answered.replayed
        assert replace(answered.voice, expires_at=news[-1].voice.expires_at) == news[-1].voice
        assert answered.voice.expires_at > news[-1].voice.expires_at
    library = library_of(Settings.at(made[2]))
    key = news[-1].voice.request_key
    assert library.again(key, "ann") is not None
    assert library.again(key, "ben") is None
    library.close()
    fresh = last(studio.clone(order(examples[0], "ben")))
    assert not fresh.replayed
    assert fresh.voice.voice_id != news[-1].voice.voice_id


def test_two_owners_at_once_get_their_own(studio: Studio, examples: list[Path], profiles: dict[str, Profile]) -> None:
    with ThreadPoolExecutor(2) as pool:
        jobs = {
            owner: pool.submit(last, studio.clone(order(path, owner, text=TEXT)))
            for owner, path in zip(("ann", "ben"), examples, strict=False)
        }
        done = {owner: job.result() for owner, job in jobs.items()}
    for owner, path in zip(("ann", "ben"), examples, strict=False):
        assert studio.voices(owner) == [done[owner].voice]
        kept = Profile.from_bytes(studio._library.read(done[owner].voice, "profile.npz"))
        assert kept is not None
        assert kept.embedding @ profiles[path.stem].embedding > 0.999
    with pytest.raises(VoiceError):
        studio.audio(done["ann"].voice.voice_id, "ben", "reference")
    with pytest.raises(VoiceError):
        studio.forget(done["ann"].voice.voice_id, "ben")


def test_a_prompt_is_kept_and_steers(
    studio: Studio, settings: Settings, examples: list[Path], clip: Path, profiles: dict[str, Profile]
) -> None:
    cloned = last(studio.clone(order(examples[1], prompt_audio=clip, prompt_text=f"  {PROMPT} ")))
    assert "prompt.wav" in cloned.voice.files
    learned = profile_of(settings, cloned)
    assert abs(learned.pitch_hz - profiles["ada"].pitch_hz) < abs(learned.pitch_hz - profiles["ben"].pitch_hz)


def test_noise_reduction_and_volume_normalisation_reach_what_is_learned(
    studio: Studio, settings: Settings, examples: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = read(examples[2])
    hiss = noise(clean.duration_s, clean.sample_rate, level=0.02)[: len(clean.samples)]
    path = tmp_path / "noisy.wav"
    path.write_bytes(encode(clean.samples[: len(hiss)] * 0.3 + hiss, clean.sample_rate, "wav"))
    loudness = []
    learn = LocalBackend.learn

    def listening(backend: LocalBackend, reference: Any, *rest: Any) -> Profile:
        loudness.append(enhance.integrated_loudness(reference.samples, reference.sample_rate))
        return learn(backend, reference, *rest)

    monkeypatch.setattr(LocalBackend, "learn", listening)
    raw, cleaned, levelled = (
        profile_of(settings, last(studio.clone(order(path, **options))))
        for options in ({}, {"need_noise_reduction": True}, {"need_volume_normalization": True})
    )
    true = studio._backend.learn(studio._backend.listen(clean.samples, clean.sample_rate), None)
    high = slice(-15, None)  # where hiss hides the voice
    target = true.frames.envelopes.mean(axis=0)[high]
    distance = [np.abs(learned.frames.envelopes.mean(axis=0)[high] - target).mean() for learned in (raw, cleaned)]
    assert distance[1] < distance[0]
    assert loudness[2] == pytest.approx(enhance.TARGET_LUFS, abs=0.3)
    assert abs(loudness[0] - enhance.TARGET_LUFS) > 1
    assert levelled.embedding @ raw.embedding > 0.9


@pytest.mark.parametrize("kind", ["webm", "ogg", "flac"])
def test_what_a_browser_records_is_kept_as_mp3(studio: Studio, examples: list[Path], tmp_path: Path, kind: str) -> None:
    recording = read(examples[2])
    path = tmp_path / "take"
    path.write_bytes(encode(recording.samples, recording.sample_rate, kind))
    voice = last(studio.clone(order(path))).voice
    kept = read(studio.audio(voice.voice_id, "ann", "reference"))
    assert kept.format == "mp3"
    assert kept.duration_s == pytest.approx(recording.duration_s, abs=0.1)


def test_a_wav_over_the_limit_is_encoded_before_its_size_is_judged(
    studio: Studio, examples: list[Path], tmp_path: Path
) -> None:
    recording = read(examples[2])
    sound = np.tile(resample(recording.samples, recording.sample_rate, 48_000), 2)[: 28 * 48_000]
    path = tmp_path / "take.wav"
    path.write_bytes(encode(np.stack([sound] * 8), 48_000, "wav"))
    assert path.stat().st_size > REFERENCE_MAX_BYTES
    voice = last(studio.clone(order(path))).voice
    kept = studio.audio(voice.voice_id, "ann", "reference")
    assert read(kept).format == "mp3"
    assert kept.stat().st_size < REFERENCE_MAX_BYTES


def test_a_url_is_fetched(settings: Settings, backend: LocalBackend, examples: list[Path]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(examples[0].parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/{examples[1].name}"
    closed = Studio(settings, backend)
    error = refusal(closed.clone(order(url)))
    assert (error.code, error.field) == ("url_private", "audio")
    closed.close()
    studio = Studio(replace(settings, allow_private_urls=True), backend)
    voice = last(studio.clone(order(url))).voice
    assert studio.audio(voice.voice_id, "ann", "reference").read_bytes() == examples[1].read_bytes()
    assert last(studio.clone(order(url))).replayed
    assert studio.check(url).refusal() is None
    assert files_in(settings.home / "work") == []
    studio.close()
    server.shutdown()
    server.server_close()


# afterwards


def test_speaking_makes_a_voice_permanent(studio: Studio, examples: list[Path], tmp_path: Path) -> None:
    voice = last(studio.clone(order(examples[1]))).voice
    news = list(studio.speak(say(voice)))
    spoken = news[-1]
    assert isinstance(spoken, Spoken)
    assert [i.name for i in dict.fromkeys(news[:-1]) if isinstance(i, Stage)] == ["Recalling the voice", "Speaking"]
    assert spoken.voice.permanent
    assert spoken.voice.expires_at is None
    assert studio.voices("ann") == [spoken.voice]
    assert spoken.samples.dtype == np.float32
    assert 0.02 < np.abs(spoken.samples).max() <= 1
    for name in ("speech.wav", "speech.mp3", "speech.flac"):
        studio.write_speech(spoken, tmp_path / name)
        written = read(tmp_path / name)
        assert written.format == name.partition(".")[2]
        assert says_what_it_is(tmp_path / name, spoken.voice.voice_id, TURBO)
        assert written.duration_s == pytest.approx(len(spoken.samples) / spoken.sample_rate, abs=0.1)


def test_a_voice_survives_a_restart_and_speaks(
    studio: Studio, settings: Settings, backend: LocalBackend, examples: list[Path]
) -> None:
    voice = last(studio.clone(order(examples[1]))).voice
    before = last(studio.speak(say(voice))).samples
    studio.close()
    again = Studio(settings, backend)
    again.start(warm=False)
    assert [kept.voice_id for kept in again.voices("ann")] == [voice.voice_id]
    after = last(again.speak(say(voice))).samples
    assert np.corrcoef(before, after)[0, 1] > 0.999
    again.close()


@pytest.mark.parametrize("reason", ["older", "damaged", "gone"])
def test_a_voice_is_learned_again_when_it_must_be(
    studio: Studio,
    settings: Settings,
    examples: list[Path],
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
) -> None:
    voice = last(studio.clone(order(examples[1], prompt_audio=clip, prompt_text=PROMPT))).voice
    profile = next(settings.home.rglob("profile.npz"))
    before = Profile.from_bytes(profile.read_bytes())
    if reason == "older":
        monkeypatch.setattr(engine_profile, "ENGINE_VERSION", "next")
    elif reason == "damaged":
        profile.write_bytes(profile.read_bytes()[:1000])
    else:
        profile.unlink()
        studio._library.reconcile()
    assert len(last(studio.speak(say(voice))).samples)
    after = Profile.from_bytes(profile.read_bytes())
    assert before is not None
    assert after is not None
    assert after.pitch_hz == before.pitch_hz
    assert after.rate == before.rate
    assert after.embedding @ before.embedding > 0.999


def test_a_voice_is_described_forgotten_and_brought_back(studio: Studio, examples: list[Path]) -> None:
    voice = last(studio.clone(order(examples[0], name="Ada"))).voice
    described = studio.describe(voice.voice_id, "ann", name=" Ada \n L. ", note="Warm.")
    assert (described.name, described.note) == ("Ada L.", "Warm.")
    with pytest.raises(TextError, match="empty"):
        studio.describe(voice.voice_id, "ann", name="  ")
    studio.forget(voice.voice_id, "ann", undo_s=20.0)
    assert studio.voices("ann") == []
    assert refusal(studio.speak(say(voice))).code == "unknown_voice"
    with pytest.raises(VoiceError):
        studio.audio(voice.voice_id, "ann", "reference")
    assert studio.restore(voice.voice_id, "ann") == described
    assert studio.audio(voice.voice_id, "ann", "reference").is_file()


def test_forgetting_removes_every_file(studio: Studio, settings: Settings, examples: list[Path]) -> None:
    voice = last(studio.clone(order(examples[0]))).voice
    assert any(voice.voice_id in name for name in files_in(settings.home))
    studio.forget(voice.voice_id, "ann")
    assert not any(name.endswith((".m4a", ".npz")) for name in files_in(settings.home))
    assert studio.voices("ann") == []
    assert not last(studio.clone(order(examples[0]))).replayed


def test_what_expired_is_purged_at_the_start(
    studio: Studio, settings: Settings, backend: LocalBackend, examples: list[Path]
) -> None:
    voice = last(studio.clone(order(examples[0]))).voice
    studio.forget(voice.voice_id, "ann")
    library = library_of(settings)
    old = replace(voice, created_at=utc_now() - RETENTION - timedelta(seconds=1), expires_at=None)
    library.add(old, {"reference.m4a": examples[0].read_bytes()})
    library.close()
    again = Studio(settings, backend)
    again.start(warm=False)
    assert not any(name.endswith(".m4a") for name in files_in(settings.home))
    assert refusal(again.speak(say(voice))).code == "expired_voice"
    again.close()


def test_a_check_tells_all_and_keeps_nothing(studio: Studio, settings: Settings, examples: list[Path]) -> None:
    report = studio.check(examples[0]).to_dict()["findings"]
    assert [finding["code"] for finding in report][:4] == ["duration", "size", "level", "speech"]
    heard = {"loudness", "clipping", "noise", "bandwidth", "hum", "dc", "echo", "edges", "speakers", "language"}
    assert {finding["code"] for finding in report[4:]} == heard
    assert {finding["severity"] for finding in report} == {"ok", "info"}  # the language is told for information
    assert report[0]["measured"] == pytest.approx(read(examples[0]).duration_s, abs=0.01)
    assert studio.voices("ann") == []
    assert files_in(settings.home / "work") == []


def test_what_was_said_before_a_stop_is_kept_and_gone_on_with(studio: Studio, examples: list[Path]) -> None:
    voice = last(studio.clone(order(examples[1]))).voice
    asked = say(voice, "Walk slowly home. … The harbour was quiet. Nobody went ashore. Come back soon.")
    news = studio.say(asked)
    passages = (event for event in news if isinstance(event, Passage))
    before = [np.append(next(passages).samples, next(passages).samples), next(passages).samples]  # the first in parts
    news.close()
    (left,) = studio.documents("ann")
    assert (left.n_spoken >= 2, left.complete) == (True, False)
    again = list(studio.say(asked))
    spoken = [event for event in again if isinstance(event, Passage)]
    assert isinstance(again[-1], Document)
    assert (again[-1].document_id, again[-1].complete) == (left.document_id, True)
    assert len(spoken) == 4
    for stored, first in zip(spoken, before, strict=False):
        assert np.abs(stored.samples - first).max() < 1e-4
    assert [each.complete for each in studio.documents("ann")] == [True]
    assert studio.voice(voice.voice_id, "ann").permanent


def test_what_was_said_is_written_whole_and_goes_with_its_voice(
    studio: Studio, settings: Settings, examples: list[Path], tmp_path: Path
) -> None:
    voice = last(studio.clone(order(examples[1]))).voice
    *spoken, document = studio.say(say(voice, f"{TEXT} Come back soon."))
    studio.write_document(document.document_id, "ann", tmp_path / "said.wav")
    samples = sum(len(event.samples) for event in spoken if isinstance(event, Passage))
    assert abs(len(read(tmp_path / "said.wav").samples) - samples) < 10
    with pytest.raises(TaskError):
        studio.write_document(document.document_id, "ben", tmp_path / "other.wav")
    studio.forget(voice.voice_id, "ann")
    assert studio.documents("ann") == []
    assert files_in(settings.home / "audio" / "documents") == []


def test_readmes_example_in_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: LocalBackend) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    program = readme.partition("```python\n")[2].partition("```")[0]
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    monkeypatch.setattr("clone.studio.facade.LocalBackend", lambda *_: backend)  # loaded already
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "README.md", "exec"), {})
    assert read(tmp_path / "speech.mp3").duration_s > 0.5


def test_the_public_face_is_loaded_when_it_is_used() -> None:
    program = (
        "import sys, clone; assert 'numpy' not in sys.modules; from clone import *; print(Studio, Settings);"
        "print({'scipy.signal', 'scipy.ndimage', 'pypinyin', 'librosa', 'gradio'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "facade.Studio" in done.stdout, done.stderr
    assert done.stdout.endswith("set()\n"), "takes seconds, and is not needed yet"


def test_what_judges_a_recording_is_loaded_ahead() -> None:
    program = (
        "import sys; from clone.studio.analysis import Examining; print('scipy.signal' in sys.modules);"
        "Examining(None).warm(); print('scipy.signal' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_the_language_of_a_text_is_told_once_for_a_request(
    studio: Studio, examples: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []

    def counted(text: str) -> str:
        texts.append(text)
        return detected(text)

    detected = languages.detected
    monkeypatch.setattr(languages, "detected", counted)
    voice = last(studio.clone(order(examples[1], text=TEXT))).voice
    assert texts.count(TEXT) == 1  # learning a voice has sentences of its own
    last(studio.speak(say(voice)))
    assert texts.count(TEXT) == 2
    assert voice.settings["language"] is None
