"""Bearer keys: whose request it is, and the key that is made at first start."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from clone.api.auth import Keys, RateLimit, load_keys
from clone.core.errors import ApiKeyError, BusyError
from clone.core.settings import Settings
from clone.core.workspace import kept_secret


def test_an_owner_is_the_fingerprint_of_the_key() -> None:
    keys = Keys(["one", "two"])
    assert keys.owner("Bearer two") == f"key-{hashlib.sha256(b'two').hexdigest()[:40]}"
    assert keys.owner("bearer  one ") != keys.owner("Bearer two")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer "])
def test_no_key(header: str | None) -> None:
    with pytest.raises(ApiKeyError) as caught:
        Keys(["one"]).owner(header)
    assert (caught.value.status, caught.value.reason) == (400, "MISSING_API_KEY")


@pytest.mark.parametrize("header", ["Basic b25lOnR3bw==", "one", "Token one"])
def test_a_key_that_does_not_come_as_a_bearer_key(header: str) -> None:
    with pytest.raises(ApiKeyError) as caught:
        Keys(["one"]).owner(header)
    assert (caught.value.status, caught.value.reason) == (401, "FAILED_TO_AUTH")


@pytest.mark.parametrize("given", ["on", "onee", "One", "ключ", "\udcff", "one,two", "one two"])
def test_a_wrong_key(given: str) -> None:
    with pytest.raises(ApiKeyError) as caught:
        Keys(["one", "two"]).owner(f"Bearer {given}")
    assert (caught.value.status, caught.value.reason) == (403, "INVALID_API_KEY")
    assert given not in str(caught.value)


def test_every_key_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    import clone.api.auth

    compared = []
    monkeypatch.setattr(clone.api.auth, "_same", lambda ours, given: compared.append(ours) or ours == given)
    Keys(["one", "two", "three"]).owner("Bearer one")
    assert len(compared) == 3
    assert {len(digest) for digest in compared} == {32}


def test_a_key_is_made_at_first_start_and_stays(settings: Settings) -> None:
    keys, path = load_keys(settings)
    assert path == settings.home / "api_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text().strip()
    assert len(key) > 40
    assert keys.owner(f"Bearer {key}") == load_keys(settings)[0].owner(f"Bearer {key}")
    assert sorted(each.name for each in settings.home.iterdir()) == ["api_key"]


def test_keys_that_are_set_are_the_only_ones(home: Path) -> None:
    settings = Settings.from_environment({"TIMBRE_HOME": str(home), "TIMBRE_API_KEYS": " one, two ,,one"})
    assert settings.api_keys == ("one", "two")
    assert "one" not in repr(settings)
    keys, path = load_keys(settings)
    assert path is None
    assert not (home / "api_key").exists()
    assert keys.owner("Bearer two")


def test_secrets_differ_and_the_first_of_two_wins(tmp_path: Path) -> None:
    assert kept_secret(tmp_path / "one") != kept_secret(tmp_path / "two")
    assert kept_secret(tmp_path / "one") == kept_secret(tmp_path / "one")


def test_a_minute_has_so_many_calls() -> None:
    now = [1000.0]
    limit = RateLimit(2, lambda: now[0])
    limit.take("a")
    now[0] += 10.5
    limit.take("a")
    with pytest.raises(BusyError) as caught:
        limit.take("a")
    assert caught.value.retry_after_s == 50
    limit.take("b")
    now[0] += caught.value.retry_after_s
    limit.take("a")
    with pytest.raises(BusyError):
        limit.take("a")
