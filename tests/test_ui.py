"""The page's own parts: whose visit it is, what goes into the page, which files stay."""

from __future__ import annotations

import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from clone.audio.preflight import Finding, Report
from clone.audio.waveform import draw
from clone.contract import cloning
from clone.core.errors import TextError, TimbreError
from clone.core.jobs import Stage, Waiting
from clone.core.likeness import Likeness
from clone.core.settings import Settings
from clone.engine.g2p import espeak
from clone.studio.facade import Examination, Studio
from clone.ui import fields, parts, strings
from clone.ui.files import VisitFiles, make_temporary_folder, temporary_folder
from clone.ui.form import Form, examples
from clone.ui.running import Progress, explain
from clone.ui.speak_tab import _readings
from clone.ui.takes import Sound, Take
from clone.ui.visitors import COOKIE_LIFETIME, LOCAL_OWNER, Headers, Owners, is_loopback, is_token, new_token
from tests.voices import make_voice

PORT = 7860
HERE = [("host", f"127.0.0.1:{PORT}"), ("origin", f"http://127.0.0.1:{PORT}")]

# whose visit it is


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST.", "app.localhost", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example", "evil", "2130706433"]
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def held(owners: Owners) -> Headers:
    """What the owner's browser sends."""
    return [*HERE, ("cookie", f"{owners.cookie}={owners.new_cookie()}")]


@pytest.mark.parametrize(
    ("server_name", "port", "hosts"),
    [
        ("127.0.0.1", PORT, ("127.0.0.1:7860", "localhost:7860")),
        ("localhost", 80, ("127.0.0.1", "localhost")),
        ("[::1]", PORT, ("[::1]:7860",)),
        ("127.0.0.2", PORT, ("127.0.0.2:7860",)),
        ("0.0.0.0", PORT, ()),
        ("192.168.1.2", PORT, ()),
    ],
)
def test_an_owner_asks_by_what_is_bound(home: Path, server_name: str, port: int, hosts: tuple[str, ...]) -> None:
    owners = Owners(Settings.at(home, server_name=server_name, server_port=port))
    assert owners.hosts == hosts
    for host in hosts:
        assert owners.is_direct([("Host", host), ("User-Agent", "a browser")])
    for host in ("", "0177.0.0.1:7860", "127.0.0.1:8000", "localhost@timbre.example", "timbre.example"):
        assert not owners.is_direct([("Host", host)])
    assert not owners.is_direct([])


def test_where_an_address_is_given_out_nobody_is_the_owner(home: Path) -> None:
    owners = Owners(Settings.at(home, public_url="https://timbre.example"))
    assert owners.hosts == ()
    assert not owners.is_owner(held(owners))


def test_owners_follow_tokens_and_cannot_be_named(settings: Settings) -> None:
    owners = Owners(settings)
    one, two = new_token(), new_token()
    assert owners.of(one, HERE) == owners.of(one, HERE) != owners.of(two, HERE)
    assert one not in owners.of(one, HERE)
    assert owners.of(one, held(owners)) == owners.of("", held(owners)) == LOCAL_OWNER
    for bad in (None, "", LOCAL_OWNER, "a" * 42, "a" * 44, "a" * 42 + "/", one + "\n", 7, [one], {"token": one}):
        assert not is_token(bad)
        with pytest.raises(TimbreError, match="lost track"):
            owners.of(bad, HERE)


def test_a_cookie_ends_and_is_signed_by_its_home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = Owners(settings)
    headers = held(owners)
    assert Owners(settings).is_owner(headers)  # after a restart
    with monkeypatch.context() as later:
        ends = time.time() + COOKIE_LIFETIME.total_seconds() + 1
        later.setattr(time, "time", lambda: ends)
        assert not owners.is_owner(headers)
    (settings.home / "owner_secret").unlink()
    assert not Owners(settings).is_owner(headers)


# what goes into the page


def test_a_row_says_what_can_be_done_with_a_voice() -> None:
    ends = datetime(2026, 3, 8, tzinfo=UTC)
    row = parts.voice(make_voice(files=("reference.mp3", "profile.npz"), expires_at=ends, note="Warm."))
    assert f'data-ends="{ends.timestamp():.0f}"' in row
    assert 'data-has="r"' in row
    assert "<p>Warm.</p>" in row
    assert "data-hosted" not in row
    kept = parts.voice(make_voice(backend="novita", permanent_at=ends, files=("preview.mp3",)))
    assert "data-ends" not in kept
    assert 'data-has="p" data-hosted' in kept


def test_a_thousand_voices_are_a_small_answer() -> None:
    ids = [f"voice_{number:032x}" for number in range(1000)]
    owned = [make_voice(voice_id=voice_id, files=("preview.mp3", "reference.mp3")) for voice_id in ids]
    assert len(parts.voices(owned).encode()) < 300_000


def test_progress_is_said_once_per_step() -> None:
    progress = Progress()
    assert strings.STARTING in progress.shown()
    assert "2 ahead" in progress.shown(Waiting(3))
    first = progress.shown(Stage("Learning the voice", 1, 4))
    assert 'aria-valuenow="25"' in first
    assert progress.shown(Stage("Learning the voice", 1, 4)) is first
    assert progress.shown(Stage("Speaking", 2, 4)) != first


def test_how_much_longer_is_told_once_even_steps_tell_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = Progress()

    def after(seconds: float, step: Stage) -> str:
        clock[0] += seconds
        return progress.shown(step)

    assert " left" not in after(9.0, Stage("Recalling the voice", 2, 8))  # it is not spoken yet
    assert " left" not in after(1.0, Stage("Speaking", 2, 8, even=True))
    assert " left" not in after(5.0, Stage("Speaking", 3, 8, even=True))
    assert "about 0:16 left" in after(3.0, Stage("Speaking", 4, 8, even=True))
    assert "about 0:04 left" in after(12.0, Stage("Speaking", 7, 8, even=True))
    assert " left" not in after(1.0, Stage("Speaking", 1, 3, even=True))  # something else


def reported(*findings: Finding) -> str:
    picture = draw(np.ones(16_000, np.float32), 16_000, (), ())
    return parts.report(Examination(Report(findings), picture), Sound("/takes/x/y.wav", "It"))


def test_ready_recordings_are_said_to_be_ready_and_others_not() -> None:
    long, silent = Finding("duration", "ok", 12.0, None, "Long."), Finding("silent", "refuse", 0.0, 1.0, "Silent.")
    assert f"<strong>{strings.READY}</strong> <span>Long.</span>" in reported(long)
    assert strings.READY not in reported(long, silent)
    assert "<strong>Silent.</strong>" in reported(long, silent)


def test_what_is_found_out_last_has_its_place_before() -> None:
    long, picture = Finding("duration", "ok", 12.0, None, "Long."), draw(np.ones(16_000, np.float32), 16_000, (), ())
    whole = parts.report(Examination(Report([long]), picture, complete=True), Sound("/takes/x/y.wav", "It"))
    assert whole.count("tb-facts") == reported(long).count("tb-facts") == 1
    assert strings.HEARING_ON in reported(long)
    assert strings.HEARING_ON not in whole


def test_how_long_a_voice_stays() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    temporary = make_voice(expires_at=now + cloning.RETENTION)
    assert parts.expiry(temporary, now) == "Expires in 7 days, on 8 March 2026, 12:00 UTC"
    assert "in 5 h" in parts.expiry(make_voice(expires_at=now + timedelta(hours=5)), now)
    assert parts.expiry(make_voice(expires_at=None), now) == strings.KEPT


def test_likeness_is_shown_between_a_stock_voice_and_the_original() -> None:
    shown = parts.gauge(Likeness(0.7, 0.9, 0.5, 53, 54, 2, 10))
    assert "width:50.0%" in shown
    assert all(end in shown for end in strings.LIKENESS_ENDS)
    assert "50 % of the way" in shown


def test_where_likeness_can_t_be_told_there_is_no_gauge() -> None:
    for alike in (Likeness(0.9, None, 0.5, 54, 54), Likeness(0.9, 0.4, 0.5, 54, 54, 7, 7)):
        shown = parts.gauge(alike)
        assert "tb-gauge" not in shown
        assert "%" not in shown
        assert "Clone from a" in shown


def test_what_was_not_expected_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    told = explain(ValueError("/home/somebody/secret.wav"))
    assert told.message == strings.UNEXPECTED
    assert "ValueError" in caplog.text
    assert "somebody" not in caplog.text


# which files stay


def test_a_visits_files_go_with_it(home: Path) -> None:
    make_temporary_folder(home)
    folder = temporary_folder(home)
    files = VisitFiles(folder)
    outside = home / "kept.wav"
    outside.write_bytes(b"kept")
    shared = folder / "shared.wav"
    shared.write_bytes(b"shared")
    copy = files.copy("one", outside, "copy.wav")
    files.remember("one", outside, shared, folder / ".." / "kept.wav")
    files.remember("two", shared)
    files.forget("one")
    assert not copy.exists()
    assert outside.exists()
    assert shared.exists()
    files.forget("two")
    files.forget("two")
    assert not shared.exists()


def test_only_what_is_about_a_voice_can_go(home: Path) -> None:
    make_temporary_folder(home)
    folder = temporary_folder(home)
    files = VisitFiles(folder)
    one, two = files.new("visit", "timbre-one.wav"), files.new("visit", "timbre-two.wav")
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    named = files.new("visit", "Preview of Ada.wav", "voice-one")
    assert named.name == "Preview of Ada.wav"
    named.write_bytes(b"3")
    files.forget("visit", about="one")
    assert not one.exists()
    assert not named.exists()
    assert two.exists()


def test_a_voices_file_is_copied_once_for_a_visit(home: Path) -> None:
    files = VisitFiles(temporary_folder(home))
    home.mkdir(exist_ok=True)
    sources = [home / "one.mp3", home / "two.mp3"]
    for source in sources:
        source.write_bytes(source.name.encode())
    path = files.copy("visit", sources[0], "Preview.mp3", "moss/voice")
    assert files.copy("visit", sources[0], "Preview.mp3", "moss/voice") == path
    others = [
        ("visit", "Original.mp3", "moss/voice"),
        ("visit", "Preview.mp3", "voice"),
        ("two", "Preview.mp3", "voice"),
    ]
    unnamed = [("visit", "Preview.mp3", ""), ("visit", "Preview.mp3", ""), (None, "Preview.mp3", "moss/voice")]
    copies = [files.copy(visit, sources[1], name, about) for visit, name, about in (*others, *unnamed)]
    assert len({path, *copies}) == 1 + len(copies)
    assert {copy.read_bytes() for copy in copies} == {b"two.mp3"}
    path.unlink()
    assert files.copy("visit", sources[1], "Preview.mp3", "moss/voice").read_bytes() == b"two.mp3"


def test_a_hosted_voice_may_have_a_slash_in_its_id(home: Path) -> None:
    files = VisitFiles(temporary_folder(home))
    home.mkdir(exist_ok=True)
    (home / "sound.mp3").write_bytes(b"sound")
    path = files.copy("visit", home / "sound.mp3", "timbre-moss/voice-preview.mp3")
    assert path.read_bytes() == b"sound"
    assert path.name == "timbre-moss-voice-preview.mp3"
    files.forget("visit", about="moss/voice")
    assert not path.exists()


def test_what_a_run_left_that_is_gone_is_removed_and_what_is_there_stays(home: Path) -> None:
    make_temporary_folder(home)
    folder = temporary_folder(home)
    (folder / "mine.wav").write_bytes(b"mine")
    (folder.parent / "0123456789abcdef").mkdir()
    (folder.parent / "left.wav").write_bytes(b"left, by a version that had one folder for all")
    make_temporary_folder(home)
    assert [path.relative_to(folder.parent) for path in folder.parent.iterdir()] == [Path(folder.name)]
    assert (folder / "mine.wav").exists()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent, home)} == {0o700}


# the form


def form(**changes: object) -> Form:
    filled: dict[str, object] = {
        "source": strings.EXAMPLE,
        "recorded": None,
        "uploaded": None,
        "link": None,
        "example": examples()[0].name,
        "prompt_audio": None,
        "prompt_text": "",
        "text": "Hello there.",
        "model": cloning.MODELS[0],
        "accuracy": cloning.ACCURACY_DEFAULT,
        "noise": False,
        "volume": False,
        "consent": True,
    }
    return Form(**(filled | changes))  # type: ignore[arg-type]


def test_a_link_is_downloaded_once_a_visit(home: Path) -> None:
    files = VisitFiles(temporary_folder(home))
    asked: list[int] = []

    def download(folder: Path) -> Path:
        asked.append(len(asked))
        (folder / "voice.mp3").write_bytes(bytes(len(asked)))
        return folder / "voice.mp3"

    url = "https://example.com/voice.mp3"
    first = files.fetched("one", url, download)
    assert files.fetched("one", url, download) == first
    assert asked == [0]
    assert files.fetched("two", url, download) != first
    again = files.fetched("one", url, download, anew=True)
    assert again.stat().st_size == 3
    assert files.fetched("one", url, download) == again
    files.forget("one")
    assert not first.exists()
    assert not again.exists()
    assert files.fetched("one", url, download).is_file()
    assert len(asked) == 4


def test_a_filled_in_form_is_an_order() -> None:
    order = form().order("me", form().given.check())
    assert form().faults() == []
    assert order.audio == examples()[0].path
    assert (order.owner, order.consent, order.name) == ("me", True, examples()[0].name)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"example": "Nobody"}, "audio"),
        ({"part": True, "part_start_s": None, "part_length_s": 12.0}, "audio"),
        ({"part": True, "part_start_s": 3.0, "part_length_s": float("nan")}, "audio"),
        ({"part": True, "part_start_s": float("inf"), "part_length_s": 12.0}, "audio"),
        ({"source": strings.UPLOAD}, "audio"),
        ({"source": strings.RECORD, "uploaded": __file__}, "audio"),
        ({"source": strings.UPLOAD, "uploaded": "/gone.wav"}, "audio"),
        ({"source": strings.LINK, "link": "  "}, "audio"),
        ({"source": "Elsewhere"}, "audio"),
        ({"prompt_text": "Half a prompt."}, "prompt_audio"),
        ({"prompt_audio": __file__}, "prompt_text"),
        ({"prompt_audio": __file__, "prompt_text": "No end"}, "prompt_text"),
        ({"prompt_audio": "/gone.wav", "prompt_text": "It is gone."}, "prompt_audio"),
        ({"text": "…"}, "text"),
        ({"text": "a" * (cloning.TEXT_MAX_CHARS + 1)}, "text"),
        ({"model": "any"}, "model"),
        ({"consent": False}, "consent"),
        ({"consent": "yes"}, "consent"),
    ],
)
def test_each_fault_is_at_its_field(changes: dict[str, object], field: str) -> None:
    assert [fault.field for fault in form(**changes).faults()] == [field]


@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_a_form_without_a_text_asks_for_no_preview(text: str | None) -> None:
    filled = form(text=text)
    assert filled.faults() == []
    options = filled.order("me", filled.given.check()).options
    assert (options.text, options.model) == (None, None)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"source": strings.LINK, "link": "https://a.example/my%20voice.mp3?x=1"}, "my voice"),
        ({"source": strings.LINK, "link": "https://a.example/"}, "a"),
        ({"source": strings.UPLOAD, "uploaded": "/tmp/An_old   tape.m4a"}, "An old tape"),
        ({"source": strings.RECORD, "recorded": "/tmp/blob.wav"}, strings.RECORDING),
    ],
)
def test_a_voice_is_named_after_its_recording(changes: dict[str, object], name: str) -> None:
    assert form(**changes).given.name() == name


# the language of a text


@pytest.mark.parametrize(
    ("text", "chosen", "line"),
    [
        ("Good morning, everybody.", "auto", "The text looks like English."),
        ("今天天气很好。", "auto", "The text looks like Chinese. On this machine turbo speaks English only"),
        ("東京大学", "ja", "Read as Japanese."),
        ("Guten Morgen, wie geht es Ihnen?", "auto", "The text looks like German, which this machine does not speak."),
        ("Guten Morgen, wie geht es Ihnen?", "en", "Read as English."),
        ("El tren a la costa sale a las nueve.", "auto", "pip install -r requirements-languages.txt"),
        ("", "auto", ""),
    ],
)
def test_the_language_is_said_beside_the_text(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str, chosen: str, line: str
) -> None:
    monkeypatch.setattr(espeak, "PACKAGE", "no_such_package")
    studio = Studio(Settings.at(home))
    told = fields.language_line(studio, text, chosen)
    studio.close()
    assert line in told
    assert bool(told) == bool(text)


def test_a_language_that_is_set_goes_into_the_order(tmp_path: Path) -> None:
    assert form(language="zh").order("ada", tmp_path / "a.mp3").language == "zh"
    assert form(language="auto").order("ada", tmp_path / "a.mp3").language is None
    assert [fault.code for fault in form(language="xx").faults()] == ["language"]


def test_a_takes_length_is_the_one_that_the_browsers_player_beside_it_shows() -> None:
    take = Take("a", "b", "c", "d", "timbre.mp3", 3.62, "")  # Chromium cuts the seconds off
    assert "0:03" in parts.take_done(take)


def test_how_words_are_said_is_a_word_a_line_and_a_voices_own_goes_first() -> None:
    assert _readings("Nguyen = win\n\n Siobhan=shi vawn \nNguyen = nwin\nGdańsk = g'dine sk") == (
        ("Nguyen", "win"),
        ("Siobhan", "shi vawn"),
        ("Gdańsk", "g'dine sk"),
    )
    assert _readings(None) == _readings("\n") == ()
    for wrong in ("Nguyen", "= win", "Nguyen =", f"{'a' * 101} = b"):
        with pytest.raises(TextError, match="pronunciation"):
            _readings(wrong)
