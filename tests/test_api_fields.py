"""What a request says of how it is to be spoken: pauses, sounds, readings, emotions, changes, mixes, subtitles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from clone.audio.enhance import stretched, tilted
from clone.contract import markup
from clone.contract.cloning import MODELS, check_text, parse
from clone.contract.speech import AudioSetting, SpeechRequest, SpeechSettings, VoiceSetting, respelled
from clone.core.errors import Refused, TextError
from clone.engine.backend import SAMPLE_RATE, LocalBackend
from clone.engine.g2p import chinese
from clone.engine.g2p.text import SENTENCE_PAUSE_S, Sentence, sentences
from clone.engine.profile import Profile
from clone.engine.prosody import AS_PREDICTED, Pitch
from clone.engine.speaker import median_pitch_hz
from tests.serving import KEYS, Served, kept_voice, refusal, serving
from tests.sounds import tone

TURBO, NEWEST = MODELS[-3], MODELS[-1]
TEXT = "Good morning."
RATE = 24_000


# pauses and sounds


@pytest.mark.parametrize(
    "marker",
    ["<#0.5#>", "<# .5 #>", '<break time="0.5s"/>', "<break time='500ms' />", "<BREAK TIME=0.5s>", "[pause 0.5]"],
)
def test_a_pause_is_silence_in_every_spelling(marker: str) -> None:
    assert markup.parts(f"One {marker} two.") == [markup.Part("One ", 0.5), markup.Part(" two.")]
    assert sentences(f"One {marker} two.") == [Sentence("One", 0.0, 0.5), Sentence("two.", 0.15)]
    assert markup.plain(f"One{marker}two") == "One two"


@pytest.mark.parametrize(
    "text", ["<#half#>", "<#1#", "a < b #1# > c", "[pause]", "<break/>", "(see below)", "f(laughs_at)", "[1]"]
)
def test_what_only_looks_like_one_is_left(text: str) -> None:
    assert markup.parts(text) == [markup.Part(text)]


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("Say <emphasis level='strong'>this</emphasis>.", ["<emphasis level='strong'>", "</emphasis>"]),
        ("Well <#half#> yes. [pause long] <br/>", ["<#half#>", "[pause long]", "<br/>"]),
        ("<b>" * 9 + "Hi", ["<b>"]),
        ('<prosody rate=slow pitch = "+2st" >Hi', ['<prosody rate=slow pitch = "+2st" >']),
    ],
)
def test_what_is_not_understood_is_told_and_not_read_out(text: str, unknown: list[str]) -> None:
    assert markup.unknown(text) == unknown
    read = " ".join(each.text for each in sentences(text))
    assert read
    assert not any(c in "<>[]#" for c in read)


@pytest.mark.parametrize(
    "text", ["a < b and c > d", "I <3 you, 5>4", "[the king] said", "x<y, y>z", "<b and c>", "<#0.5#>Hi (laughs)"]
)
def test_what_people_write_is_no_markup(text: str) -> None:
    assert markup.unknown(text) == []


def test_markup_that_never_ends_takes_no_time() -> None:
    for nasty in (
        "<a" * 1000,
        "<a " * 700,
        "<a b=" * 400,
        "<a b='" * 300,
        "<#" * 1000,
        "[pause " * 280,
        "<a" + " " * 1990,
    ):
        for _ in range(20):
            markup.unknown(nasty)


def test_sounds_are_left_out_and_pauses_in_a_row_are_one() -> None:
    assert [each.text for each in sentences("Well (laughs) yes. [Sighs] (lip-smacking)")] == ["Well yes."]
    assert sentences("<#1#>Hi.<#1#> <#2#>") == [Sentence("", 0.0, 1.0), Sentence("Hi.", 0.0, 3.0)]


@pytest.mark.parametrize("text", ["Hi <#0#>", "Hi <#100#>", "Hi <break time='9ms'/>", "Hi " + "<#99#>" * 7])
def test_a_pause_has_its_limits(text: str) -> None:
    with pytest.raises(TextError, match=r"pause|Pause"):
        check_text(text)


@pytest.mark.parametrize("text", ["<#1#>", "(laughs)", '<break time="1s"/> [sighs]'])
def test_pauses_and_sounds_are_nothing_to_say(text: str) -> None:
    with pytest.raises(TextError) as caught:
        check_text(text)
    assert caught.value.code == "text_no_letter"


# readings, emotions, changes


def test_readings_are_of_whole_words_whatever_their_case() -> None:
    readings = (("omg", "oh my god"), ("a.b", "dot"), ("处理", "(chu3)(li3)"))
    assert respelled("OMG, omgs a.b 处理x", readings) == "oh my god, omgs dot (chu3)(li3)x"
    assert chinese.phonemes("(chu3)(li3)", str) == chinese.phonemes("处理", str)
    assert chinese.phonemes("重(chong2)25", str).startswith(chinese.phonemes("重", str))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pronunciation_dict": {"tone": ["omg"]}}, "pronunciation_dict.tone"),
        ({"pronunciation_dict": {"tone": ["/x"]}}, "pronunciation_dict.tone"),
        ({"pronunciation_dict": {"tone": ["x/y"] * 101}}, "pronunciation_dict.tone"),
        ({"voice_setting": {"voice_id": "x", "emotion": "whisper"}}, "voice_setting.emotion"),
        ({"voice_setting": {"voice_id": "x", "speed": 3}}, "voice_setting.speed"),
        ({"voice_modify": {"pitch": 101}}, "voice_modify.pitch"),
        ({"voice_modify": {"sound_effects": "robotic"}}, "voice_modify.sound_effects"),
        ({"timbre_weights": [{"voice_id": "x", "weight": 1}] * 5}, "timbre_weights"),
        ({"timbre_weights": [{"voice_id": "x", "weight": 0}]}, "timbre_weights.0.weight"),
        ({"timber_weights": [3]}, "timbre_weights.0"),
        ({"stream_options": 1}, "stream_options"),
    ],
)
def test_what_can_not_be_done_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(SpeechRequest, {"text": TEXT, "voice_setting": {"voice_id": "x"}} | change)
    assert caught.value.field == field
    assert "as the API's document" not in str(caught.value)


def test_null_is_absent_everywhere() -> None:
    nothing = dict.fromkeys(set(SpeechRequest.model_fields) - {"text", "voice_setting"})
    setting = {"voice_id": "x"} | dict.fromkeys(set(VoiceSetting.model_fields) - {"voice_id"})
    asked = parse(SpeechRequest, {"text": TEXT, "voice_setting": setting, "timber_weights": None} | nothing)
    assert asked.settings == SpeechSettings()
    assert asked.audio_setting == AudioSetting()
    idle = parse(AudioSetting, {"audio_sample_rate": 24000, "sample_rate": None, "bitrate": None})
    assert idle.sample_rate == 24000


def test_an_emotion_and_a_change_move_what_they_say() -> None:
    def how(**setting: Any) -> SpeechSettings:
        return parse(SpeechRequest, {"text": TEXT, "voice_setting": {"voice_id": "x"}, **setting}).settings

    sad, happy = (how(voice_setting={"voice_id": "x", "emotion": each}) for each in ("sad", "happy"))
    assert (sad.speed, sad.pitch, sad.pitch_range, sad.volume) < (1.0, 0.0, 1.0, 1.0)
    assert (happy.speed, happy.pitch, happy.pitch_range, happy.volume) > (1.0, 0.0, 1.0, 1.0)
    changed = how(voice_modify={"pitch": -100, "intensity": 100, "timbre": 100})
    assert (changed.pitch, changed.volume < 1, changed.pitch_range < 1, changed.treble_db) == (-6.0, True, True, 6.0)
    assert how(voice_modify={}) == SpeechSettings()


def test_a_wider_range_moves_pitch_around_its_mean() -> None:
    curve = np.array([0.0, 100.0, 200.0, 400.0], np.float32)
    wide = Pitch(span=2.0).moved(curve)
    assert wide == pytest.approx([0.0, 50.0, 200.0, 800.0])
    assert AS_PREDICTED.moved(curve) == pytest.approx(curve)


def test_treble_and_tempo() -> None:
    low, high = tone(1.0, RATE, 200.0), tone(1.0, RATE, 5000.0)
    assert np.std(tilted(high, RATE, 6.0)) / np.std(high) == pytest.approx(2.0, rel=0.02)
    assert np.std(tilted(low, RATE, 6.0)) / np.std(low) == pytest.approx(0.5, rel=0.05)
    for rate in (0.5, 2.0):
        sped = stretched(low, rate)
        assert len(sped) == RATE / rate
        assert median_pitch_hz(sped[::1]) == pytest.approx(median_pitch_hz(low), rel=0.05)


def test_a_mix_lies_between_its_voices(backend: LocalBackend, profiles: dict[str, Profile]) -> None:
    one, other = list(profiles.values())[:2]
    mixed = Profile.mix([(3.0, one), (1.0, other)])
    low, high = sorted((one.pitch_hz, other.pitch_hz))
    assert low < mixed.pitch_hz < high
    assert mixed.others == {}
    line = backend.script("The harbour was quiet this morning.")[0]
    spoken = {name: backend.speak(each, line, TURBO) for name, each in (("one", one), ("both", mixed), ("two", other))}
    likeness = {name: backend.likeness(one, samples) for name, samples in spoken.items()}
    assert likeness["one"] > likeness["both"] > likeness["two"], likeness
    same = Profile.mix([(1.0, one), (1.0, one)])
    assert backend.speak(same, line, TURBO) == pytest.approx(spoken["one"], abs=1e-3)


# over the API


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("api") / "home") as served:
        yield served


def samples(answer: requests.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.frombuffer(bytes.fromhex(answer.json()["audio"]), "<i2")


PCM = {"format": "pcm", "sample_rate": SAMPLE_RATE}


def test_a_pause_lasts_and_a_sound_is_not_said(api: Served, voice_id: str) -> None:
    plain = samples(api.speak(voice_id, text="Yes. No.", audio_setting=PCM))
    paused = samples(api.speak(voice_id, text="<#1#>Yes. <#2#> No. (laughs)", audio_setting=PCM))
    quiet = np.split(plain, np.flatnonzero(np.abs(plain) > 1))
    own_s = max(map(len, quiet)) / SAMPLE_RATE
    assert 0.5 * SENTENCE_PAUSE_S < own_s < 2 * SENTENCE_PAUSE_S
    assert (len(paused) - len(plain)) / SAMPLE_RATE == pytest.approx(3.0 - own_s, abs=0.15)
    assert np.abs(paused[:SAMPLE_RATE]).max() <= 1
    assert np.abs(paused[SAMPLE_RATE:]).max() > 1000


def test_the_streams_of_the_newest_models_are_nested(api: Served, voice_id: str) -> None:
    body = {"text": TEXT, "voice_setting": {"voice_id": voice_id}, "stream": True, "subtitle_enable": True}
    answer = api.post(f"/v3/minimax-{NEWEST}", body)
    events = [json.loads(line[6:]) for line in answer.text.split("\n") if line]
    assert [event["data"]["status"] for event in events] == [1] * (len(events) - 1) + [2]
    assert all(bytes.fromhex(event["data"]["audio"]) for event in events[:-1])
    assert events[-1]["data"]["audio"] == ""
    assert events[-1]["extra_info"]["usage_characters"] == len(TEXT)
    assert events[-1]["base_resp"]["status_code"] == 0
    assert requests.get(events[-1]["data"]["subtitle_file"], timeout=10).json()[0]["text"] == TEXT


def test_subtitles_say_when_each_sentence_is_said(api: Served, voice_id: str) -> None:
    answer = api.speak(voice_id, text="Yes. <#1#> No.", audio_setting=PCM, subtitle_enable=True)
    said = requests.get(answer.json()["subtitle_file"], timeout=10).json()
    assert [each["text"] for each in said] == ["Yes.", "No."]
    assert said[1]["time_begin"] - said[0]["time_end"] == pytest.approx(1000, abs=2)
    assert said[1]["time_end"] <= len(samples(answer)) / SAMPLE_RATE * 1000


def test_voices_are_mixed_and_all_of_them_kept(api: Served, voice_id: str, places: str, examples: list[Path]) -> None:
    cloned = api.post("/v3/minimax-voice-cloning", {"audio_url": f"{places}/{examples[2].name}"})
    other = cloned.json()["voice_id"]
    mix = [{"voice_id": voice_id, "weight": 1}, {"voice_id": other, "weight": 99}]
    body = {"text": TEXT, "timbre_weights": mix, "audio_setting": PCM, "voice_setting": {"voice_id": ""}}
    mixed = samples(api.post(f"/v3/minimax-{TURBO}", body))
    assert kept_voice(api, other).permanent
    alone = samples(api.speak(voice_id, text=TEXT, audio_setting=PCM))
    assert len(mixed) != len(alone) or not np.array_equal(mixed, alone)
    theirs = [{"voice_id": voice_id, "weight": 1}, {"voice_id": "voice_none", "weight": 1}]
    refusal(api.post(f"/v3/minimax-{TURBO}", body | {"timbre_weights": theirs}), 400, "INVALID_REQUEST_BODY")
    refusal(api.post(f"/v3/minimax-{TURBO}", body, KEYS[1]), 400, "INVALID_REQUEST_BODY")


def test_a_reading_may_not_make_a_text_too_long(api: Served, voice_id: str) -> None:
    many = {"pronunciation_dict": {"tone": [f"a/{'very ' * 19}long"]}}
    assert "50,000" in refusal(api.speak(voice_id, text="a " * 4000, **many), 400, "INVALID_REQUEST_BODY")["message"]
    said = samples(api.speak(voice_id, text="OMG.", audio_setting=PCM, pronunciation_dict={"tone": ["omg/oh my god"]}))
    assert len(said) > 0


def test_a_task_tells_its_type_and_how_far_it_is(api: Served, voice_id: str) -> None:
    setting = {"audio_sample_rate": 24000, "format": "mp3", "bitrate": None}
    body = {"text": TEXT, "voice_setting": {"voice_id": voice_id, "emotion": "happy"}, "audio_setting": setting}
    task_id = api.post(f"/v3/async/minimax-{NEWEST}", body).json()["task_id"]
    while (task := api.get(f"/v3/async/task-result?task_id={task_id}").json())["task"]["progress_percent"] < 100:
        assert task["task"]["status"] in ("TASK_STATUS_QUEUED", "TASK_STATUS_PROCESSING")
    assert (task["task"]["status"], task["task"]["task_type"]) == ("TASK_STATUS_SUCCEED", "TEXT_TO_SPEECH")


def test_a_key_that_is_no_bearer_key(api: Served) -> None:
    answer = requests.post(f"{api.url}/v3/minimax-{TURBO}", json={}, headers={"Authorization": KEYS[0]}, timeout=10)
    refusal(answer, 401, "FAILED_TO_AUTH")
