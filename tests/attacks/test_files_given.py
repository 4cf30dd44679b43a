"""Files that are given to the page beside recordings: of voices, and tables. Only what was uploaded is read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.pressing import Tab
from tests.running import App

MARK = "text,voice\nsecret-of-the-house,x\n"


def given(path: object, **more: Any) -> dict[str, Any]:
    return {"path": path, "orig_name": "table.csv", "meta": {"_type": "gradio.FileData"}} | more


@pytest.mark.parametrize(
    "spelled",
    [
        "{home}/secret.csv",
        "{page}/../../secret.csv",
        "{page}/%2e%2e/%2e%2e/secret.csv",
        "{page}//../..//secret.csv",
        "file://{home}/secret.csv",
        "/proc/self/root{home}/secret.csv",
        "{page}/beside/link.csv",
    ],
)
def test_only_an_uploaded_table_is_read(public: App, spelled: str) -> None:
    secret = public.home / "secret.csv"
    secret.write_text(MARK, encoding="utf-8")
    (page,) = (public.home / "page").iterdir()
    (page / "beside").mkdir(exist_ok=True)
    if not (page / "beside" / "link.csv").is_symlink():
        (page / "beside" / "link.csv").symlink_to(secret)
    path = spelled.format(home=public.home, page=page)
    told = Tab(public.url).told("batch", "click", batch_file=given(path), speak_model="speech-2.8-turbo")
    assert "secret-of-the-house" not in told
    assert "No voice of yours" not in told
    assert "/takes/" not in told
    assert str(public.home) not in told


def test_no_link_is_a_file_of_voices(public: App) -> None:
    for link in ("http://127.0.0.1:9/x.timbre", "https://example.com/x.timbre"):
        for file in (given(link, url=link), given("", url=link), given(None, url=link)):
            told = Tab(public.url).told("import", "click", import_file=file, import_consent=True)
            assert "came in" not in told


@pytest.mark.parametrize("consent", ["true", 1, "on", [True]])
def test_nobody_takes_voices_in_without_a_tick(public: App, tmp_path: Path, consent: Any) -> None:
    with zipfile.ZipFile(tmp_path / "voices.timbre", "w") as archive:
        archive.writestr("manifest.json", "{}")
    tab = Tab(public.url)
    file = tab.upload(tmp_path / "voices.timbre")
    assert "Consent is not confirmed" in tab.told("import", "click", import_file=file, import_consent=consent)
    assert "is damaged" in tab.told("import", "click", import_file=file, import_consent=True)


@pytest.mark.parametrize("name", ["voices.mp3", "voices.timbre.exe", "table.csv"])
def test_a_file_of_another_kind_is_not_taken_for_one_of_voices(public: App, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x05\x06" + bytes(18))
    tab = Tab(public.url)
    told = tab.told("import", "click", import_file=tab.upload(tmp_path / name), import_consent=True)
    assert "came in" not in told
    assert str(public.home) not in told


def test_tags_and_names_never_leave_their_place(own: App) -> None:
    told = Tab(own.url).told("voices", "edit", {"voices": [{"a": 1}, ["x"], None], "add": "<b>", "remove": {"x": 1}})
    assert "no longer here" in told
    told = Tab(own.url).told("voices", "copy", {"voices": ["../../api_key", "\u0000", "a" * 5_000]})
    assert "no longer here" in told
    assert "/takes/" not in told


def test_a_table_that_was_uploaded_is_read(public: App, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(MARK, encoding="utf-8")
    tab = Tab(public.url)
    told = tab.told("batch", "click", batch_file=tab.upload(tmp_path / "table.csv"), speak_model="speech-2.8-turbo")
    assert "No voice of yours is “x”" in told
    assert "/takes/" in told  # the zip with its report
