"""Voices are kept for as long as was said, by whom they belong to, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import StatementError

from clone.contract.cloning import RETENTION
from clone.core.errors import CancelledError, TextError, VoiceError
from clone.core.jobs import Stop
from clone.storage.retention import EXPIRED_KNOWN_FOR
from clone.storage.shelf import RECORD, ROOT
from clone.storage.voice import (
    NAME_MAX_CHARS,
    NOTE_MAX_CHARS,
    Voice,
    check_name,
    check_note,
    folder_of,
    from_record,
    given_id,
)
from clone.storage.voices import Library
from tests.voices import FILES, MOMENT, START, Clock, make_voice, open_library, refusal

# What is kept


def test_a_voice_comes_back_as_it_was_given(library: Library) -> None:
    added = library.add(make_voice(), FILES)
    assert library.get("voice-1", "ada") == added
    assert added == make_voice(
        expires_at=START + RETENTION, files=("preview.mp3", "profile.npz", "reference.mp3"), n_bytes=29
    )
    assert library.read(added, "reference.mp3") == b"reference sound"
    assert library.path(added, "profile.npz").read_bytes() == b"numbers"


def test_voices_outlast_a_restart(home: Path, clock: Clock) -> None:
    first = open_library(home, clock)
    added = first.add(make_voice(), FILES)
    first.close()
    second = open_library(home, clock)
    assert second.reconcile() == 0
    assert second.voices("ada") == [added]


def test_times_come_back_as_utc(library: Library, clock: Clock) -> None:
    elsewhere = START.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    library.add(make_voice(created_at=elsewhere), FILES)
    got = library.get("voice-1", "ada")
    assert got.created_at == START
    assert got.created_at.utcoffset() == timedelta(0)
    with pytest.raises(StatementError, match="zone"):
        library.add(make_voice("naive", created_at=datetime(2026, 3, 1)), FILES)


def test_a_voice_is_listed_newest_first_for_its_owner_alone(library: Library) -> None:
    for number in (2, 1, 3):
        library.add(make_voice(f"v{number}", created_at=START + timedelta(seconds=number)), FILES)
    library.add(make_voice("b1", owner="bob"), FILES)
    assert [voice.voice_id for voice in library.voices("ada")] == ["v3", "v2", "v1"]
    assert [voice.voice_id for voice in library.voices("bob")] == ["b1"]
    assert library.voices("nobody") == []


def test_another_owners_voice_is_unknown_to_every_call(library: Library) -> None:
    voice = library.add(make_voice(), FILES)
    for call in (library.get, library.keep, library.forget, lambda v, o: library.update_files(v, o, {})):
        assert str(refusal(call, "voice-1", "bob")) == str(refusal(call, "no-such", "ada"))
        assert refusal(call, "voice-1", "bob").code == "unknown_voice"
    assert library.again("request", "bob") is None
    assert library.get("voice-1", "ada") == voice


@pytest.mark.parametrize("voice_id", ["", "\ud800", "a\0b", "x" * 5000, "' OR 1=1 --", "../../etc/passwd"])
def test_what_can_not_be_an_id_is_unknown(library: Library, voice_id: str) -> None:
    library.add(make_voice(), FILES)
    for call in (library.get, library.keep, library.forget):
        assert refusal(call, voice_id, "ada").code == "unknown_voice"
    assert len(library.voices("ada")) == 1


@pytest.mark.parametrize("voice_id", ["../../escape", "a/b", "UPPER", "Ünïcode", ".", "con trol", "x" * 200])
def test_a_hosted_id_can_be_anything(library: Library, voice_id: str) -> None:
    voice = library.add(make_voice(voice_id, backend="novita"), FILES)
    assert library.read(library.get(voice_id, "ada"), "preview.mp3") == b"preview"
    assert library.reconcile() == 0
    library.forget(voice_id, "ada")
    assert refusal(library.read, voice, "preview.mp3").code == "unknown_voice"


def test_ids_that_differ_never_share_a_folder() -> None:
    ids = ["a", "A", "a/b", "a.b", "sha256-a", folder_of("A"), "a."]
    assert len({folder_of(voice_id).lower() for voice_id in ids}) == len(ids)


def test_a_taken_id_is_refused_and_its_files_stay(library: Library) -> None:
    voice = library.add(make_voice(), FILES)
    error = refusal(library.add, make_voice(owner="bob"), {"reference.mp3": b"other"})
    assert error.code == "voice_exists"
    assert library.read(voice, "reference.mp3") == b"reference sound"


def test_the_same_request_finds_the_newest_living_voice(library: Library, clock: Clock) -> None:
    library.add(make_voice("old"), FILES)
    library.add(make_voice("new", created_at=START + MOMENT), FILES)
    library.add(make_voice("other", request_key="other"), FILES)
    found = library.again("request", "ada")
    assert found
    assert found.voice_id == "new"
    clock.time = START + RETENTION + MOMENT
    assert library.again("request", "ada") is None


def test_a_voice_of_this_machine_answered_again_lives_on_from_then(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    library.add(make_voice("kept", request_key="kept", permanent_at=START), FILES)
    library.add(make_voice("hosted", request_key="hosted", backend="novita"), FILES)
    clock.time = START + RETENTION - MOMENT
    found = {key: library.again(key, "ada") for key in ("request", "kept", "hosted")}
    ends = {key: voice and voice.expires_at for key, voice in found.items()}
    assert ends == {"request": clock.time + RETENTION, "kept": None, "hosted": START + RETENTION}
    clock.time += RETENTION - MOMENT
    assert library.get("voice-1", "ada").expires_at == ends["request"]
    assert refusal(library.get, "hosted", "ada").code == "expired_voice"


def test_used_bytes_follow_what_is_there(library: Library) -> None:
    library.add(make_voice("v1"), FILES)
    library.add(make_voice("v2"), {"reference.mp3": bytes(100)})
    library.add(make_voice("b1", owner="bob"), {"reference.mp3": bytes(7)})
    assert (library.used_bytes("ada"), library.used_bytes("bob"), library.used_bytes("nobody")) == (129, 7, 0)
    library.update_files("v1", "ada", {"profile.npz": bytes(10)})
    assert library.used_bytes("ada") == 132
    library.forget("v2", "ada")
    assert library.used_bytes("ada") == 32


def test_derived_files_and_what_goes_with_them_are_replaced(library: Library) -> None:
    library.add(make_voice(), FILES)
    updated = library.update_files(
        "voice-1", "ada", {"profile.npz": b"new numbers", "more.npz": b"+"}, engine_version="2", likeness=0.9
    )
    assert library.get("voice-1", "ada") == updated
    assert (updated.engine_version, updated.likeness) == ("2", 0.9)
    assert updated.files == ("more.npz", "preview.mp3", "profile.npz", "reference.mp3")
    assert library.read(updated, "profile.npz") == b"new numbers"
    with pytest.raises(ValueError, match="not to be changed"):
        library.update_files("voice-1", "ada", {"reference.mp3": b"forged"})
    with pytest.raises(ValueError, match="not to be changed"):
        library.update_files("voice-1", "ada", {}, created_at=START)


def test_a_file_that_a_voice_has_not_is_refused(library: Library) -> None:
    voice = library.add(make_voice(), FILES)
    for name in ("none.wav", "../voice-2/reference.mp3"):
        assert refusal(library.read, voice, name).code == "no_file"
        assert refusal(library.path, voice, name).code == "no_file"


# How long


def test_a_voice_lives_for_the_retention_and_not_a_moment_longer(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    clock.time = START + RETENTION - MOMENT
    assert library.purge() == 0
    assert library.get("voice-1", "ada")
    clock.time = START + RETENTION
    assert library.voices("ada") == []
    for call in (library.get, library.keep, lambda v, o: library.update_files(v, o, {})):
        error = refusal(call, "voice-1", "ada")
        assert error.code == "expired_voice"
        assert "8 March 2026 at 12:30 UTC" in error.message


def test_a_purge_takes_row_and_files_and_still_says_expired(library: Library, clock: Clock) -> None:
    voice = library.add(make_voice(), FILES)
    library.add(make_voice("young", created_at=START + timedelta(hours=1)), FILES)
    library.path(voice, "reference.mp3")
    clock.time = START + RETENTION
    assert library.purge() == 1
    assert library.purge() == 0
    assert refusal(library.read, voice, "reference.mp3").code == "unknown_voice"
    assert library.used_bytes("ada") == 29
    error = refusal(library.get, "voice-1", "ada")
    assert error.code == "expired_voice"
    assert "8 March 2026 at 12:30 UTC" in error.message
    assert refusal(library.get, "voice-1", "bob").code == "unknown_voice"
    assert library.get("young", "ada")


def test_that_a_voice_expired_is_forgotten_too_in_time(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    clock.time = START + RETENTION
    library.purge()
    clock.time += EXPIRED_KNOWN_FOR
    library.purge()
    assert refusal(library.get, "voice-1", "ada").code == "unknown_voice"


def test_an_id_may_come_again_after_it_expired(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    clock.time = START + RETENTION
    library.purge()
    again = library.add(make_voice(created_at=clock.time), FILES)
    assert library.get("voice-1", "ada") == again
    clock.time += RETENTION
    assert library.purge() == 1


def test_a_kept_voice_stays(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    clock.time = START + timedelta(hours=1)
    kept = library.keep("voice-1", "ada")
    assert (kept.permanent, kept.permanent_at, kept.expires_at) == (True, clock.time, None)
    clock.time = START + 100 * RETENTION
    assert library.keep("voice-1", "ada") == kept
    assert library.purge() == 0
    assert library.get("voice-1", "ada") == kept
    assert library.voices("ada") == [kept]


def test_a_voice_may_be_added_as_permanent(library: Library, clock: Clock) -> None:
    assert library.add(make_voice(permanent_at=START), FILES).expires_at is None
    clock.time = START + 2 * RETENTION
    assert library.get("voice-1", "ada").permanent


def test_a_forgotten_voice_is_unknown_expired_or_not(library: Library, clock: Clock) -> None:
    voice = library.add(make_voice(), FILES)
    library.add(make_voice("late"), FILES)
    library.forget("voice-1", "ada")
    assert refusal(library.get, "voice-1", "ada").code == "unknown_voice"
    assert refusal(library.read, voice, "reference.mp3").code == "unknown_voice"
    clock.time = START + RETENTION
    library.forget("late", "ada")
    assert refusal(library.get, "late", "ada").code == "unknown_voice"
    assert refusal(library.forget, "late", "ada").code == "unknown_voice"


# What is written on it


def test_name_and_note_are_changed_and_nothing_else(library: Library) -> None:
    added = library.add(make_voice(), FILES)
    assert added.note == ""
    changed = library.describe("voice-1", "ada", name="Bea", note="For the trailer.")
    assert changed == replace(added, name="Bea", note="For the trailer.")
    assert library.get("voice-1", "ada") == changed
    assert library.describe("voice-1", "ada", note="").note == ""
    assert refusal(library.describe, "voice-1", "bob").code == "unknown_voice"
    with pytest.raises(TypeError):
        library.describe("voice-1", "ada", files="[]")  # type: ignore[call-arg]


def test_tags_are_a_few_short_words_each_once(library: Library) -> None:
    library.add(make_voice(), FILES)
    assert library.describe("voice-1", "ada", tags=" Drama,drama ,, deep\u3001 \0warm\n").tags == (
        "Drama",
        "deep",
        "warm",
    )
    assert library.get("voice-1", "ada").tags == ("Drama", "deep", "warm")
    for words, code, measured, limit in (
        ("x" * 25, "tag_too_long", 25, 24),
        (",".join("abcdefghi"), "too_many_tags", 9, 8),
    ):
        with pytest.raises(TextError) as refused:
            library.describe("voice-1", "ada", tags=words)
        assert (refused.value.code, refused.value.measured, refused.value.limit) == (code, measured, limit)
    assert library.describe("voice-1", "ada", tags=",".join(f"{each:24}" for each in "abcdefgh")).tags == (*"abcdefgh",)
    assert library.describe("voice-1", "ada", tags=" ,").tags == ()


def test_several_voices_are_tagged_together_or_none_is(library: Library) -> None:
    for number, tags in enumerate(("Deep,old", "", ",".join("abcdefgh"))):
        library.add(make_voice(f"voice-{number}"), FILES)
        library.describe(f"voice-{number}", "ada", tags=tags)
    changed = library.tag(["voice-0", "voice-1", "voice-0"], "ada", add="deep, Promo", remove="OLD")
    assert [(each.voice_id, each.tags) for each in changed] == [
        ("voice-0", ("Deep", "Promo")),
        ("voice-1", ("deep", "Promo")),
    ]
    before = {each: (library.get(each, "ada"), record_of(library, each)) for each in ("voice-1", "voice-2")}
    with pytest.raises(TextError, match="would have 9 tags"):
        library.tag(["voice-1", "voice-2"], "ada", add="late")
    assert refusal(library.tag, ["voice-1", "gone"], "ada").code == "unknown_voice"
    assert refusal(library.tag, ["voice-1"], "bob").code == "unknown_voice"
    assert before == {each: (library.get(each, "ada"), record_of(library, each)) for each in before}


def record_of(library: Library, voice_id: str) -> Voice | None:
    """What stands beside a voice's recordings."""
    return from_record(library.store.get(f"{ROOT}/{voice_id}/{RECORD}"), voice_id)


def test_names_and_notes_are_one_trimmed_line() -> None:
    assert check_name("  Grace \n\tHopper\0\x07\ud800 ") == "Grace Hopper"
    assert check_note(" \r\n ") == ""
    assert check_note("café 😀") == "café 😀"


@pytest.mark.parametrize(
    ("check", "words", "code", "measured", "limit"),
    [
        (check_name, " \n", "name_empty", 0, 1),
        (check_name, "a" * (NAME_MAX_CHARS + 1), "name_too_long", NAME_MAX_CHARS + 1, NAME_MAX_CHARS),
        (check_note, "a" * (NOTE_MAX_CHARS + 2), "note_too_long", NOTE_MAX_CHARS + 2, NOTE_MAX_CHARS),
    ],
)
def test_what_is_no_name_or_note_is_refused_at_its_field(
    check: Callable[[str], str], words: str, code: str, measured: int, limit: int
) -> None:
    with pytest.raises(TextError) as refused:
        check(words)
    error = refused.value
    assert (error.code, error.measured, error.limit) == (code, measured, limit)
    assert error.field == code.partition("_")[0]
    assert str(limit) in error.message or limit == 1
    assert error.advice


# Forgetting that can be undone

UNDO_S = 20.0


def gone_for_every_use(library: Library) -> None:
    assert library.voices("ada") == []
    assert library.again("request", "ada") is None
    for call in (library.get, library.keep, library.describe, lambda v, o: library.update_files(v, o, {})):
        assert refusal(call, "voice-1", "ada").code == "unknown_voice"


def test_a_forgotten_voice_comes_back_within_its_time(library: Library, clock: Clock) -> None:
    voice = library.add(make_voice(), FILES)
    library.forget("voice-1", "ada", UNDO_S)
    gone_for_every_use(library)
    assert refusal(library.restore, "voice-1", "bob").code == "undo_over"
    clock.time += timedelta(seconds=UNDO_S) - MOMENT
    assert library.purge() == 0
    assert library.next_purge_s(60.0) == pytest.approx(0.0, abs=0.001)
    assert library.restore("voice-1", "ada") == voice
    assert library.restore("voice-1", "ada") == voice
    assert library.get("voice-1", "ada") == voice
    assert library.read(voice, "reference.mp3") == b"reference sound"
    clock.time += timedelta(seconds=UNDO_S)
    assert library.purge() == 0
    assert library.next_purge_s(60.0) == 60.0


def test_after_its_time_it_is_deleted_and_leaves_nothing(library: Library, clock: Clock) -> None:
    voice = library.add(make_voice(), FILES)
    library.forget("voice-1", "ada", UNDO_S)
    assert library.used_bytes("ada") == 29
    clock.time += timedelta(seconds=UNDO_S)
    gone_for_every_use(library)
    assert refusal(library.restore, "voice-1", "ada").code == "undo_over"
    assert library.purge() == 1
    assert refusal(library.restore, "voice-1", "ada").code == "undo_over"
    assert refusal(library.read, voice, "reference.mp3").code == "unknown_voice"
    assert library.used_bytes("ada") == 0


def test_an_expired_voice_can_not_be_restored(library: Library, clock: Clock) -> None:
    library.add(make_voice(), FILES)
    clock.time = START + RETENTION - MOMENT
    library.forget("voice-1", "ada", UNDO_S)
    clock.time = START + RETENTION
    assert refusal(library.restore, "voice-1", "ada").code == "expired_voice"
    assert library.purge() == 1
    assert refusal(library.get, "voice-1", "ada").code == "unknown_voice"  # who it belonged to is not remembered
    library.add(make_voice("late"), FILES)
    assert refusal(library.forget, "late", "ada", UNDO_S).code == "expired_voice"


def test_forgetting_again_without_undo_deletes_at_once(library: Library) -> None:
    voice = library.add(make_voice(), FILES)
    library.forget("voice-1", "ada", UNDO_S)
    library.forget("voice-1", "ada")
    assert refusal(library.restore, "voice-1", "ada").code == "undo_over"
    assert refusal(library.read, voice, "reference.mp3").code == "unknown_voice"


def test_what_this_process_forgot_goes_when_it_closes(library: Library) -> None:
    library.add(make_voice(), FILES)
    library.add(make_voice("back"), FILES)
    for voice_id in ("voice-1", "back"):
        library.forget(voice_id, "ada", UNDO_S)
    library.restore("back", "ada")
    assert library.forget_now() == 1
    assert library.forget_now() == 0
    assert [voice.voice_id for voice in library.voices("ada")] == ["back"]
    assert refusal(library.restore, "voice-1", "ada").code == "undo_over"


def test_the_id_of_a_forgotten_voice_is_free_for_its_owner_alone(library: Library) -> None:
    library.add(make_voice(), FILES)
    library.forget("voice-1", "ada", UNDO_S)
    assert refusal(library.add, make_voice(owner="bob"), FILES).code == "voice_exists"
    again = library.add(make_voice(name="Again"), {"reference.mp3": b"other"})
    assert library.get("voice-1", "ada") == again
    assert again.files == ("reference.mp3",)


def test_a_forgotten_voice_outlives_a_killed_process_for_its_time_only(home: Path, clock: Clock) -> None:
    open_library(home, clock).add(make_voice(), FILES)
    open_library(home, clock).forget("voice-1", "ada", UNDO_S)  # … and is killed
    library = open_library(home, clock)
    assert library.reconcile() == 0
    gone_for_every_use(library)
    assert library.next_purge_s(60.0) == UNDO_S
    clock.time += timedelta(seconds=UNDO_S)
    assert library.purge() == 1
    assert not list((home / "audio").rglob("*.mp3"))


def test_a_voice_is_found_by_its_id_the_id_its_owner_chose_and_its_name(library: Library, clock: Clock) -> None:
    chosen = given_id("ada", "ChosenByAda")
    library.add(make_voice("voice-1", "ada", name="Grace"), FILES)
    clock.time += timedelta(seconds=1)
    library.add(make_voice(chosen, "ada", name="voice-1", created_at=clock()), FILES)
    for word, found in (("voice-1", "voice-1"), ("ChosenByAda", chosen), (" grace ", "voice-1"), (chosen, chosen)):
        assert library.find(word, "ada").voice_id == found
    for word, owner in (("ChosenByAda", "eve"), ("Grace", "eve"), ("voice-1", "eve"), ("", "ada"), ("x\0", "ada")):
        with pytest.raises(VoiceError) as caught:
            library.find(word, owner)
        assert caught.value.code == "unknown_voice"
    clock.time += RETENTION + timedelta(seconds=2)
    with pytest.raises(VoiceError) as caught:
        library.find("ChosenByAda", "ada")
    assert caught.value.code == "expired_voice"


# Alone


def test_what_somebody_does_alone_is_waited_for_until_somebody_asks_to_stop(library: Library) -> None:
    stop, led = Stop(), list[str]()
    stop.ask()
    with library.alone("clone", "ada", "key", wait=stop.pause):
        with pytest.raises(CancelledError), library.alone("clone", "ada", "key", wait=stop.pause):
            pytest.fail("two are alone")
        library.led("clone", lambda: led.append("something else"))
        with library.alone("clone", "ben", "key", wait=stop.pause):
            led.append("somebody else")
    with library.alone("clone", "ada", "key", wait=stop.pause):
        led.append("afterwards")
    assert led == ["something else", "somebody else", "afterwards"]
