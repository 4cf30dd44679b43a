"""What the environment sets, and what holds without it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from platformdirs import user_data_path

import clone.core.settings
from clone.core.errors import TimbreError
from clone.core.settings import ENGINES, Settings, has_screen
from clone.engine.models import Models


def test_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings.home == user_data_path("timbre")
    assert settings.database_url == f"sqlite:///{settings.home}/library.db"
    assert settings.store_url == str(settings.home / "audio")
    assert settings.public_url == ""
    assert settings.allow_private_urls is False
    assert (settings.server_name, settings.server_port) == ("127.0.0.1", 7860)


def test_every_variable(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "TIMBRE_HOME": str(tmp_path),
            "TIMBRE_DATABASE_URL": "sqlite:////srv/voices.db",
            "TIMBRE_STORE_URL": "s3://voices",
            "TIMBRE_PUBLIC_URL": "https://voices.example.com/",
            "TIMBRE_ALLOW_PRIVATE_URLS": "1",
            "GRADIO_SERVER_NAME": "0.0.0.0",
            "GRADIO_SERVER_PORT": "8001",
        }
    )
    assert settings == Settings(
        home=tmp_path,
        database_url="sqlite:////srv/voices.db",
        store_url="s3://voices",
        public_url="https://voices.example.com",
        allow_private_urls=True,
        server_name="0.0.0.0",
        server_port=8001,
    )


def test_empty_variables_count_as_unset() -> None:
    names = ("TIMBRE_HOME", "TIMBRE_STORE_URL", "TIMBRE_PUBLIC_URL", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT")
    assert Settings.from_environment(dict.fromkeys(names, " ")) == Settings.from_environment({})


@pytest.mark.parametrize("value", ["0", "", "false", "yes", "2"])
def test_private_urls_stay_refused_unless_asked_for_exactly(value: str) -> None:
    assert Settings.from_environment({"TIMBRE_ALLOW_PRIVATE_URLS": value}).allow_private_urls is False


def test_home_may_start_with_a_tilde_or_be_relative(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment({"TIMBRE_HOME": "~/voices"}).home == tmp_path / "voices"
    assert Settings.from_environment({"TIMBRE_HOME": "here"}).home == tmp_path / "here"


@pytest.mark.parametrize("port", ["abc", "-1", "65536", "80.5"])
def test_a_bad_port_is_said_plainly(port: str) -> None:
    with pytest.raises(TimbreError, match=f"GRADIO_SERVER_PORT is “{port}”"):
        Settings.from_environment({"GRADIO_SERVER_PORT": port})


def test_a_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    space = {"SPACE_ID": "someone/timbre", "SPACE_HOST": "someone-timbre.hf.space"}
    monkeypatch.setattr(clone.core.settings, "SPACE_DATA", tmp_path / "missing")
    settings = Settings.from_environment(space)
    assert settings.server_name == "0.0.0.0"
    assert settings.public_url == "https://someone-timbre.hf.space"
    assert settings.home == user_data_path("timbre")


def test_a_space_with_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clone.core.settings, "SPACE_DATA", tmp_path)
    assert Settings.from_environment({"SPACE_ID": "someone/timbre"}).home == tmp_path / "timbre"
    assert Settings.from_environment({}).home == user_data_path("timbre")


def test_explicit_settings_win_on_a_space() -> None:
    given = {
        "SPACE_ID": "a/b",
        "SPACE_HOST": "a-b.hf.space",
        "TIMBRE_PUBLIC_URL": "https://x.example",
        "TIMBRE_HOME": "/h",
    }
    settings = Settings.from_environment(given | {"GRADIO_SERVER_NAME": "127.0.0.1"})
    assert (settings.public_url, settings.home, settings.server_name) == ("https://x.example", Path("/h"), "127.0.0.1")


def test_the_environment_of_a_test_is_its_own(home: Path) -> None:
    assert Settings.from_environment().home == home


def test_settings_are_frozen(settings: Settings) -> None:
    with pytest.raises(FrozenInstanceError):
        settings.home = Path("/")  # type: ignore[misc]


def test_keys_are_read_and_never_shown() -> None:
    settings = Settings.from_environment(
        {
            "NOVITA_API_KEY": " nv-secret ",
            "TIMBRE_API_KEYS": "key-one, key-two,,",
            "NOVITA_BASE_URL": "http://127.0.0.1:9/",
        }
    )
    assert settings.novita_api_key == "nv-secret"
    assert settings.api_keys == ("key-one", "key-two")
    assert settings.novita_base_url == "http://127.0.0.1:9"
    assert not any(key in repr(settings) + str(settings) for key in ("nv-secret", "key-one", "key-two"))
    assert Settings.from_environment({}).novita_base_url == "https://api.novita.ai"


@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"DISPLAY": ":0", "CI": "true"}, False),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "10.0.0.2 50000 10.0.0.1 22"}, False),
    ],
)
def test_a_browser_is_opened_only_where_it_is_seen(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], seen: bool
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert has_screen(environ) is seen


# engines to get


def test_engines_are_got_at_start_only_with_their_terms_accepted() -> None:
    agreed = Settings.from_environment({"TIMBRE_MODELS": "pocket, pocket", "TIMBRE_ACCEPT_TERMS": " pocket"})
    assert (agreed.models, agreed.models_not_agreed) == (("pocket",), ())
    alone = Settings.from_environment({"TIMBRE_MODELS": "pocket"})
    assert (alone.models, alone.models_not_agreed) == ((), ("pocket",))
    assert Settings.from_environment({"TIMBRE_ACCEPT_TERMS": "pocket"}).models == ()
    assert Settings.from_environment({}).models == ()
    assert tuple(model.name for model in Models(Path()).catalogue) == ENGINES


@pytest.mark.parametrize("variable", ["TIMBRE_MODELS", "TIMBRE_ACCEPT_TERMS"])
@pytest.mark.parametrize("value", ["Pocket", "1", "yes", "pocket;x", "../pocket"])
def test_an_engine_that_there_is_not_is_said_plainly(variable: str, value: str) -> None:
    with pytest.raises(TimbreError, match=f"{variable} names “{value}”; there is pocket"):
        Settings.from_environment({variable: value})


def test_engines_come_from_a_folder_or_a_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment({}).models_source == ""
    for given, folder in (("~/stick", tmp_path / "stick"), ("here", tmp_path / "here"), ("/srv/models", "/srv/models")):
        assert Settings.from_environment({"TIMBRE_MODELS_DIR": given}).models_source == str(folder)
    mirror = Settings.from_environment({"TIMBRE_MODELS_URL": " https://mirror.example/models/ "})
    assert mirror.models_source == "https://mirror.example/models"


@pytest.mark.parametrize("url", ["file:///srv/models", "/srv/models", "mirror.example", "ftp://mirror.example/"])
def test_a_mirror_is_a_web_address(url: str) -> None:
    with pytest.raises(TimbreError, match="TIMBRE_MODELS_URL must begin with http"):
        Settings.from_environment({"TIMBRE_MODELS_URL": url})


def test_a_folder_and_a_mirror_at_once_are_one_too_many() -> None:
    with pytest.raises(TimbreError, match="both set"):
        Settings.from_environment({"TIMBRE_MODELS_DIR": "/srv", "TIMBRE_MODELS_URL": "https://mirror.example"})
