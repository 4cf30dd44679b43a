"""Voices as one file: taken elsewhere, with consent given anew; and files that are damaged, or attacks."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from clone.audio.writer import mp3_bytes, wav_bytes
from clone.contract.cloning import RETENTION
from clone.core.errors import ConsentError, Refused, TimbreError
from clone.core.settings import NOVITA, Settings
from clone.engine.profile import Profile
from clone.storage.files import Store
from clone.storage.voices import Library
from clone.studio import portable
from clone.studio.facade import Imported, Studio, Voice
from clone.studio.portable import MANIFEST
from tests.sounds import silence
from tests.studios import TEXT, files_in, fit_for_a_person, last, order, say
from tests.voices import FILES, START, make_voice

if TYPE_CHECKING:
    from clone.engine.backend import LocalBackend

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, backend: LocalBackend) -> Iterator[Studio]:
    studio = Studio(Settings.at(tmp_path_factory.mktemp("house") / "home"), backend)
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def voice(house: Studio, examples: list[Path]) -> Voice:
    made = last(house.clone(order(examples[0], "secret-owner", text=TEXT, name="Ada"))).voice
    return house.describe(made.voice_id, made.owner, note="From the harbour.", tags="harbour, deep")


@pytest.fixture(scope="module")
def exported(house: Studio, voice: Voice, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """What is in the file of that voice, by name."""
    path = tmp_path_factory.mktemp("exported") / "ada.timbre"
    house.export_voices([voice.voice_id], voice.owner, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(folder: Path, files: Files, **changed: bytes | None) -> Path:
    """Write the file again; ``reference=…`` is another reference, whose hash is right, and None takes it away."""
    files, manifest = dict(files), json.loads(files[MANIFEST])
    for kind, data in changed.items():
        name = next(name for name in files if name.startswith(f"1/{kind}."))
        hashes = manifest["voices"][0]["files"]
        if data is None:
            del files[name], hashes[name.partition("/")[2]]
        else:
            files[name], hashes[name.partition("/")[2]] = data, hashlib.sha256(data).hexdigest()
    files[MANIFEST] = json.dumps(manifest).encode()
    return written(folder, files)


def written(folder: Path, files: Files) -> Path:
    path = folder / "voices.timbre"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def taken_in(house: Studio, path: Path, owner: str) -> Imported:
    found = last(house.import_voices(path, owner, consent=True))
    assert isinstance(found, Imported)
    return found


def learned(house: Studio, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often a voice is learned from its recording."""
    found: list[int] = []
    learn = house._backend.learn

    def counted(*given: Any) -> Profile:
        found.append(1)
        return learn(*given)

    monkeypatch.setattr(house._backend, "learn", counted)
    return found


def test_a_voice_taken_elsewhere_is_the_new_owners_and_temporary(
    house: Studio, voice: Voice, exported: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = learned(house, monkeypatch)
    (made,) = taken_in(house, packed(tmp_path, exported), "ben").cloned
    new = made.voice
    assert not counted  # what was learned came along
    assert new.voice_id != voice.voice_id
    assert (new.owner, new.consent_by, new.name, new.note) == ("ben", "ben", "Ada", "From the harbour.")
    assert new.tags == ("harbour", "deep")
    assert new.expires_at is not None
    assert timedelta() < new.expires_at - new.created_at <= RETENTION
    assert (new.model, new.settings["text"], new.engine) == (voice.model, TEXT, voice.engine)
    assert new.likeness == pytest.approx(voice.likeness, abs=0.02)
    with av.open(str(house.audio(new.voice_id, "ben", "preview"))) as preview:
        assert new.voice_id in str(preview.metadata)
    assert len(last(house.speak(say(new))).samples) > 0
    again = taken_in(house, packed(tmp_path, exported), "ben")
    assert [(each.voice.voice_id, each.replayed) for each in again.cloned] == [(new.voice_id, True)]
    assert files_in(house._settings.home / "work") == []


def test_the_file_tells_of_nobody(voice: Voice, exported: Files) -> None:
    told = exported[MANIFEST].decode()
    for private in (voice.owner, voice.voice_id, "consent", "request_key"):
        assert private not in told
    assert {"1/profile.npz", "1/preview.mp3", MANIFEST} <= exported.keys()


def test_without_consent_given_anew_nothing_is_looked_at(house: Studio, tmp_path: Path) -> None:
    with pytest.raises(ConsentError):
        list(house.import_voices(tmp_path / "gone", "ben", consent=False))


class Evil:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("pickled"),)


def profile_with(exported: Files, **changed: Any) -> bytes:
    with np.load(io.BytesIO(exported["1/profile.npz"])) as kept:
        arrays = {name: kept[name] for name in kept.files} | changed
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def promising(exported: Files) -> bytes:
    """A profile with an array of 10 TB, of which nothing is there."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(exported["1/profile.npz"])) as kept, zipfile.ZipFile(out, "w") as archive:
        for name in kept.namelist():
            data = kept.read(name)
            if name == "windows.npy":
                head = io.BytesIO()
                shape = {"descr": "<f2", "fortran_order": False, "shape": (20_000_000_000, 256)}
                np.lib.format.write_array_header_1_0(head, shape)
                data = head.getvalue() + bytes(100)
            archive.writestr(name, data)
    return out.getvalue()


PROFILES: dict[str, Callable[[Files], bytes]] = {
    "older": lambda kept: profile_with(kept, engine_version=np.array("3")),
    "pickle": lambda kept: profile_with(kept, style=np.array(Evil(), dtype=object)),
    "only a pickle": lambda _: pickle.dumps(Evil()),
    "promise": promising,
    "shape": lambda kept: profile_with(kept, features=np.zeros((5, 3), np.float16)),
    "nan": lambda kept: profile_with(kept, pitch_hz=np.nan),
    "infinite": lambda kept: profile_with(kept, style=np.full((16, 256), np.inf, np.float32)),
    "not unit": lambda kept: profile_with(kept, windows=np.full((4, 256), 9.0, np.float16)),
    "bands": lambda kept: profile_with(kept, n_bands=np.array(9_999)),
    "hours of silence": lambda kept: profile_with(kept, pause_s=9_999.0),
    "bomb": lambda kept: bomb(),
}


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("windows.npy", bytes(40_000_000))
    return out.getvalue()


@pytest.mark.parametrize("kind", PROFILES)
def test_what_this_engine_did_not_learn_is_not_trusted(kind: str, exported: Files) -> None:
    assert Profile.from_elsewhere(exported["1/profile.npz"]) is not None
    assert Profile.from_elsewhere(PROFILES[kind](exported)) is None
    assert not Path("pickled").exists()


def test_it_is_learned_again_from_the_recording(
    house: Studio, exported: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = learned(house, monkeypatch)
    (made,) = taken_in(house, packed(tmp_path, exported, profile=PROFILES["older"](exported)), "cy").cloned
    assert counted == [1]
    assert made.voice.files == ("preview.mp3", "profile.npz", "reference.m4a")


def test_a_recording_goes_the_way_of_every_recording(house: Studio, exported: Files, tmp_path: Path) -> None:
    for sound, code in ((wav_bytes(silence(20.0, 24_000), 24_000), "silent"), (b"no sound", "not_audio")):
        with pytest.raises(TimbreError) as refused:
            taken_in(house, packed(tmp_path, exported, reference=sound), "dan")
        assert fit_for_a_person(refused.value).code in (code, "no_speech")
    assert house.voices("dan") == []


def test_of_several_the_good_ones_come_in(house: Studio, exported: Files, tmp_path: Path) -> None:
    files, manifest = dict(exported), json.loads(exported[MANIFEST])
    bad = json.loads(json.dumps(manifest["voices"][0])) | {"name": "Bad", "folder": "2"}
    bad["settings"]["text"] = "…"
    files |= {name.replace("1/", "2/"): data for name, data in exported.items() if name != MANIFEST}
    files[MANIFEST] = json.dumps(manifest | {"voices": [bad, manifest["voices"][0]]}).encode()
    found = taken_in(house, written(tmp_path, files), "eve")
    assert [each.voice.name for each in found.cloned] == ["Ada"]
    assert [(name, fit_for_a_person(error).field) for name, error in found.refused] == [("Bad", "text")]


def test_tags_of_a_file_are_checked_and_may_lack(house: Studio, exported: Files, tmp_path: Path) -> None:
    manifest = json.loads(exported[MANIFEST])
    told = manifest["voices"][0]
    for owner, tags, code in (("gil", ["x" * 25], "tag_too_long"), ("gil", ["a,b,c,d,e,f,g,h,i"], "too_many_tags")):
        told["tags"] = tags
        with pytest.raises(TimbreError) as refused:
            taken_in(house, written(tmp_path, exported | {MANIFEST: json.dumps(manifest).encode()}), owner)
        assert fit_for_a_person(refused.value).code == code
    del told["tags"]  # as it was before there were any
    (made,) = taken_in(house, written(tmp_path, exported | {MANIFEST: json.dumps(manifest).encode()}), "gil").cloned
    assert made.voice.tags == ()


def test_a_preview_too_short_to_be_measured_is_no_end(house: Studio, exported: Files, tmp_path: Path) -> None:
    path = packed(tmp_path, exported, preview=mp3_bytes(silence(0.05, 24_000), 24_000))
    assert len(taken_in(house, path, "flo").cloned) == 1


def changed(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(fields)


def of_voice(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["voices"][0].update(fields)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (changed(version=2), "file_newer"),
        (changed(version=True), "damaged_file"),
        (changed(format="zip"), "damaged_file"),
        (changed(voices=[]), "damaged_file"),
        (changed(voices=None), "damaged_file"),
        (of_voice(folder="../../etc"), "damaged_file"),
        (of_voice(folder="2"), "damaged_file"),
        (of_voice(files={"../reference.wav": "0"}), "damaged_file"),
        (of_voice(files={"reference.m4a": "00" * 32}), "damaged_file"),
        (of_voice(files={"preview.mp3": "00" * 32}), "damaged_file"),
        (of_voice(settings="none"), "damaged_file"),
        (of_voice(name="x" * 10_000), "damaged_file"),
    ],
)
def test_a_file_that_says_what_is_not_so_is_refused(
    house: Studio, exported: Files, tmp_path: Path, change: Callable[[dict[str, Any]], None], code: str
) -> None:
    manifest = json.loads(exported[MANIFEST])
    change(manifest)
    assert refusal(house, written(tmp_path, exported | {MANIFEST: json.dumps(manifest).encode()})) == code


@pytest.mark.parametrize("data", [b"", b"[]", b"[" * 100_000, b'{"format": "timbre-voices", "version": 1}', b"\xff"])
def test_a_list_that_is_none_is_refused(house: Studio, exported: Files, tmp_path: Path, data: bytes) -> None:
    assert refusal(house, written(tmp_path, exported | {MANIFEST: data})) == "damaged_file"


def test_damage_is_found_before_anything_is_kept(house: Studio, exported: Files, tmp_path: Path) -> None:
    data = bytearray(exported["1/profile.npz"])
    data[len(data) // 2] ^= 1
    assert refusal(house, written(tmp_path, exported | {"1/profile.npz": bytes(data)})) == "damaged_file"
    assert refusal(house, written(tmp_path, {"x": b""})) == "damaged_file"
    assert house.voices("zoe") == []


def refusal(house: Studio, path: Path) -> str:
    with pytest.raises(Refused) as refused:
        taken_in(house, path, "zoe")
    return fit_for_a_person(refused.value).code


def test_only_ones_own_voices_of_this_machine_are_handed_out(house: Studio, voice: Voice, tmp_path: Path) -> None:
    library = Library(house._settings, Store(house._settings.store_url))
    library.add(make_voice("hosted", owner=voice.owner, backend=NOVITA, permanent_at=START), FILES)
    library.close()
    for owner, voice_ids, code in (
        ("ben", [voice.voice_id], "unknown_voice"),
        (voice.owner, [voice.voice_id, "hosted"], "other_backend"),
        (voice.owner, [], "too_many_voices"),
        (voice.owner, ["x"] * 51, "too_many_voices"),
    ):
        with pytest.raises(TimbreError) as refused:
            house.export_voices(voice_ids, owner, tmp_path / "out.timbre")
        assert fit_for_a_person(refused.value).code == code
        assert not (tmp_path / "out.timbre").exists()


def test_a_file_is_no_bigger_than_one_that_is_taken_in(
    house: Studio, voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "MAX_FILE_BYTES", voice.n_bytes - 1)
    with pytest.raises(Refused) as refused:
        house.export_voices([voice.voice_id], voice.owner, tmp_path / "out.timbre")
    assert (refused.value.code, refused.value.measured) == ("file_too_big", voice.n_bytes)
