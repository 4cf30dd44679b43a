"""Pocket TTS, the whole way on stand-ins: what is read of a recording decides the pitch, the text the length."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from clone.contract.speech import AS_IT_IS, SpeechSettings
from clone.core.errors import CancelledError
from clone.core.jobs import Stop
from clone.engine.backend import ENGINES, SAMPLE_RATE, Heard, Line, LocalBackend, Manner
from clone.engine.engine import Networks
from clone.engine.pocket import ATTEMPTS, MAX_TOKENS, REFERENCE_S, Pocket, Sampling, _reference
from clone.engine.profile import Profile
from tests import standins
from tests.sounds import speechlike

HD, TURBO = "speech-2.8-hd", "speech-2.8-turbo"
HELLO = "Hello there, how are you today?"


@dataclass(frozen=True)
class Fetched:
    """Files that were fetched, as the engine asks for them."""

    files: dict[str, bytes]
    usable: bool = True

    @dataclass(frozen=True)
    class Listed:
        sha256: str

    def model(self, name: str) -> Fetched.Model:
        return self.Model(tuple(self.Listed(sha256(data).hexdigest()) for data in self.files.values()))

    @dataclass(frozen=True)
    class Model:
        files: tuple[Fetched.Listed, ...]

    def is_usable(self, name: str) -> bool:
        return self.usable

    def read(self, name: str, file: str) -> bytes:
        return self.files[file]


class Recorded(Pocket):
    """Hears what the recognizer would have heard of a part, attempt by attempt."""

    heard: list[str]
    lengths: list[int]

    def _heard(self, samples: np.ndarray, stop: Stop) -> str:
        self.lengths.append(len(samples))
        return self.heard.pop(0) if self.heard else HELLO


def pocket(backend: LocalBackend, heard: list[str] | None = None, **files: bytes) -> Recorded:
    networks = backend._networks
    made = Recorded(Networks(networks._cache, Fetched(standins.make() | files)), Sampling())  # type: ignore[arg-type]
    made._networks._loaded = networks._loaded
    made.heard, made.lengths = list(heard or []), []
    return made


def hum(level: float, length_s: float = 12.0) -> Heard:
    """A recording whose loudness is the same throughout."""
    samples = np.full(int(length_s * SAMPLE_RATE), level, np.float32)
    samples[::2] *= -1
    return Heard(samples, SAMPLE_RATE, [])


def line(text: str) -> Line:
    return Line(text, ("x",), 0.3)


def spoken(engine: Pocket, profile: Profile, text: str = HELLO, **manner: object) -> np.ndarray:
    settings = Manner(AS_IT_IS, **manner)  # type: ignore[arg-type]
    return np.concatenate(list(engine.speak(profile, line(text), settings, Stop())))


def pitch_hz(samples: np.ndarray) -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return float(np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))) * SAMPLE_RATE / len(middle))


@pytest.fixture
def anybody(profiles: dict[str, Profile]) -> Profile:
    return profiles["ada"]


def test_pitch_follows_the_recording(backend: LocalBackend, anybody: Profile) -> None:
    engine = pocket(backend)
    low, high = (pitch_hz(spoken(engine, engine.learn(anybody, hum(level), None, Stop()))) for level in (0.05, 0.2))
    assert low == pytest.approx(standins.BASE_HZ + 0.05 * standins.HZ_PER_LEVEL, rel=0.05)
    assert high == pytest.approx(standins.BASE_HZ + 0.2 * standins.HZ_PER_LEVEL, rel=0.05)


def test_length_follows_the_text(backend: LocalBackend, anybody: Profile) -> None:
    engine = pocket(backend, ["one two three four five", "one two three four five six seven eight nine ten"])
    voice = engine.learn(anybody, hum(0.1), None, Stop())
    short, long = "One two three four five.", "One two three four five six seven eight nine ten."
    n_short, n_long = (len(spoken(engine, voice, text)) for text in (short, long))
    n_more = len(engine._tokens(long)) - len(engine._tokens(short))
    assert n_long - n_short == pytest.approx(n_more * standins.FRAMES_PER_TOKEN * standins.FRAME, rel=0.1)


def test_the_same_again_is_the_same_and_another_take_is_not(backend: LocalBackend, anybody: Profile) -> None:
    engine = pocket(backend)
    voice = engine.learn(anybody, hum(0.1), None, Stop())
    kept = Profile.from_bytes(voice.to_bytes())
    assert kept is not None
    again = replace(kept, others=voice.others)
    assert np.array_equal(spoken(engine, voice), spoken(pocket(backend), again))
    drawn: list[float] = []

    def frames(_voice: object, _text: str, random: np.random.Generator, _stop: Stop) -> list[np.ndarray]:
        drawn.append(random.random())
        return [np.ones(9, np.float32)]

    engine._frames = frames  # type: ignore[method-assign, assignment]
    for take in (0, 1, 0):
        spoken(engine, voice, take=take)
    assert drawn[0] == drawn[2] != drawn[1]


def test_what_was_learned_is_small_and_bound_to_its_networks(backend: LocalBackend, anybody: Profile) -> None:
    engine = pocket(backend)
    voice = engine.learn(anybody, hum(0.1), None, Stop())
    assert engine.knows(voice)
    assert not engine.knows(anybody)
    assert not pocket(backend, **{"lm_main.int8.onnx": standins.make(ends_at_once=True)["lm_main.int8.onnx"]}).knows(
        voice
    )
    for damaged in (b"", b"no zip", voice.others["pocket"][:200]):
        assert not engine.knows(replace(voice, others={"pocket": damaged}))
    assert voice.files().keys() == {"profile.npz", "pocket.npz"}


def test_an_end_that_comes_too_early_is_not_believed(backend: LocalBackend, anybody: Profile) -> None:
    ends_at_once = standins.make(ends_at_once=True)["lm_main.int8.onnx"]
    engine = pocket(backend, **{"lm_main.int8.onnx": ends_at_once})
    voice = engine.learn(anybody, hum(0.1), None, Stop())
    assert 6 * standins.FRAME < len(spoken(engine, voice)) < 15 * standins.FRAME


def test_what_never_ends_is_cut_by_the_text(
    backend: LocalBackend, anybody: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standins, "FRAMES_PER_TOKEN", 1000.0)
    engine = pocket(backend)
    voice = engine.learn(anybody, hum(0.1), None, Stop())
    n_tokens = len(engine._tokens(HELLO))
    assert len(spoken(engine, voice)) <= (n_tokens / 3 + 2) * SAMPLE_RATE


def test_a_stop_is_obeyed_within_a_frame(backend: LocalBackend, anybody: Profile) -> None:
    engine, stop = pocket(backend), Stop()
    voice = engine.learn(anybody, hum(0.1), None, Stop())
    states = __import__("clone.engine.pocket", fromlist=["_restored"])._restored(
        voice.others["pocket"], engine._version
    )
    frames = engine._frames(states, HELLO, np.random.default_rng(0), stop)
    for _ in range(3):
        next(frames)
    stop.ask()
    with pytest.raises(CancelledError):
        next(frames)


def test_a_stop_from_elsewhere_ends_a_long_text(backend: LocalBackend, anybody: Profile) -> None:
    engine, stop = pocket(backend), Stop()
    voice = engine.learn(anybody, hum(0.1), None, Stop())
    threading.Timer(0.2, stop.ask).start()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        list(engine.speak(voice, line("And so it goes on and on. " * 200), Manner(AS_IT_IS), stop))
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("told", "attempts"),
    [
        ([HELLO], 1),
        (["Hello there, how are you?", HELLO], 2),
        (["Hello there", "how are you", HELLO], ATTEMPTS),
        (["Hello there", "Hello there"], 2),
        (["Hello", "there", "you", "never"], ATTEMPTS),
    ],
    ids=["good", "second", "third", "the-same-words", "never"],
)
def test_words_that_are_missed_are_said_again(
    backend: LocalBackend, anybody: Profile, told: list[str], attempts: int
) -> None:
    engine = pocket(backend, told)
    voice = engine.learn(anybody, hum(0.1), None, Stop())
    spoken(engine, voice)
    assert len(engine.lengths) == attempts


def test_the_best_of_the_attempts_is_kept(backend: LocalBackend, anybody: Profile) -> None:
    engine = pocket(backend, ["nothing", "Hello there, how are you?", "nothing else"])
    drawn: list[float] = []

    def frames(*_: object) -> list[np.ndarray]:
        drawn.append(0.1 * (len(drawn) + 1))
        return [np.full(SAMPLE_RATE, drawn[-1], np.float32)]

    engine._frames = frames  # type: ignore[method-assign, assignment]
    voice = engine.learn(anybody, hum(0.1), None, Stop())
    assert np.abs(spoken(engine, voice)).max() == pytest.approx(0.2)


LONG = (
    "When the ferry came back that evening, nobody on the pier could say who had called it, or whether anyone had, "
    "because the bell, which had been broken since the spring, was still lying in the harbour master's yard."
)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    "text", [LONG, LONG.replace(",", ""), "Yes.", "a" * 400, "東京大学" * 120, "Ein, zwei, drei, vier."]
)
def test_parts_hold_the_whole_text(backend: LocalBackend, text: str, early: bool) -> None:
    engine = pocket(backend)
    parts = engine._parts(text, early=early)
    assert "".join("".join(parts).split()) == "".join(text.split())
    if " " in text:
        assert all(len(engine._tokens(part)) <= 2 * MAX_TOKENS for part in parts)
    if early and text.startswith(LONG[:9]):
        assert len(parts[0]) <= 0.6 * len(text)


def test_words_become_the_pieces_that_score_best(backend: LocalBackend) -> None:
    engine = pocket(backend)
    pieces = {"<unk>": 0, "▁": 1, "▁he": 2, "llo": 3, "▁hello": 4, ".": 5, "h": 6, "e": 7, "l": 8, "o": 9}
    bytes_at = {f"<0x{byte:02X}>": 10 + byte for byte in range(256)}
    engine._networks.models.files.update(  # type: ignore[union-attr]
        {
            "vocab.json": json.dumps(pieces | bytes_at).encode(),
            "token_scores.json": json.dumps(
                dict.fromkeys(pieces | bytes_at, -9.0) | {"▁hello": -1.0, "▁": -2.0}
            ).encode(),
        }
    )
    shown = engine._tokens("hello")
    assert shown[-1] == pieces["."]
    assert [10 + byte for byte in "É".encode()] == [each for each in engine._tokens("é") if each >= 10]


def test_faster_or_higher_speech_is_left_to_kokoro(backend: LocalBackend, anybody: Profile) -> None:
    engine = pocket(backend)
    assert engine.can(AS_IT_IS)
    assert engine.can(SpeechSettings(volume=2.0))
    assert not engine.can(SpeechSettings(speed=1.2))
    assert not engine.can(SpeechSettings(pitch=2))


def test_the_best_part_of_a_recording_is_read_and_ends_in_silence(backend: LocalBackend, anybody: Profile) -> None:
    engine = pocket(backend)
    quiet, loud = 0.02, 0.3
    samples = np.concatenate([speechlike(20.0, SAMPLE_RATE) * loud, np.zeros(SAMPLE_RATE, np.float32)])
    heard = backend.listen(samples, SAMPLE_RATE)
    read = _reference(engine._networks, heard, None, Stop())
    assert REFERENCE_S[0] <= len(read) / SAMPLE_RATE <= REFERENCE_S[1] + 0.2
    assert not read[-int(0.08 * SAMPLE_RATE) :].any()
    prompt = Heard(np.full(6 * SAMPLE_RATE, quiet, np.float32), SAMPLE_RATE, [])
    steered = _reference(engine._networks, heard, prompt, Stop())
    assert len(steered) == pytest.approx(6.08 * SAMPLE_RATE, abs=10)


class Toy:
    """A fourth engine: a click for every letter."""

    name, title, licence = "toy", "Toy", "none"
    languages = frozenset({"en"})
    varies, is_here, mixes = True, True, False

    def __init__(self, networks: Networks) -> None:
        pass

    def can(self, settings: SpeechSettings) -> bool:
        return True

    def knows(self, profile: Profile) -> bool:
        return "toy" in profile.others

    def learn(self, profile: Profile, reference: Heard, prompt: Heard | None, stop: Stop) -> Profile:
        return replace(profile, others={**profile.others, "toy": b"%d" % len(reference.samples)})

    def speak(self, profile: Profile, line: Line, manner: Manner, stop: Stop):  # type: ignore[no-untyped-def]
        for _ in line.text:
            yield np.full(10, 0.5, np.float32)


def test_another_engine_is_one_class_and_one_line(
    backend: LocalBackend, heard: dict[str, Heard], anybody: Profile
) -> None:
    toy = LocalBackend(Path("unused"), engines=ENGINES | {"hd": (Toy, *ENGINES["hd"])})
    toy._networks._loaded = backend._networks._loaded
    assert not toy.knows(anybody)
    voice = toy.learn_more(anybody, heard["ada"])
    assert toy.knows(voice)
    assert voice.others["toy"] == b"%d" % len(heard["ada"].samples)
    script = toy.script("Good morning.")[0]
    assert toy.engine(HD, "en", profile=voice).name == "toy"
    assert toy.engine(HD, "en", profile=anybody).name == "kokoro"  # until it has learned the voice
    assert toy.engine(HD, "en", profile=voice, mixed=True).name == "kokoro"
    assert toy.engine(HD, "fr", profile=voice).name == "kokoro"
    assert toy.engine(TURBO, "en", profile=voice).name == "hibari"
    said = toy.speak(voice, replace(script, pause_s=0.0), HD)
    assert np.array_equal(said, np.full(10 * len("Good morning."), 0.5, np.float32))
