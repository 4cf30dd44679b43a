"""What can be set from outside, read once. The only reader of the environment."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_data_path

from clone.core.errors import TimbreError

LOCAL, NOVITA = "local", "novita"
BACKENDS = (LOCAL, NOVITA)
"""What may clone a voice: this machine, or the hosted service."""

ENGINES = ("pocket",)
"""Engines that can be got; their files, sizes and terms are in engine/models.py."""

SECRET_MIN_CHARS = 32

SPACE_DATA = Path("/data")
MAX_PORT = 65535

ENGINE_JOBS_MAX = 1000

RAY_TOKEN_MIN_CHARS = 32
"""Whoever has it runs code on every machine of the cluster: it must not be guessed."""
RAY_TOKEN_ADVICE = 'Make one, the same for all machines: python -c "import secrets; print(secrets.token_hex(32))"'
_RAY = re.compile(r"ray:(\[[0-9A-Fa-f:.]+\]|[\w.-]+):(\d{1,5})")


@dataclass(frozen=True)
class Settings:
    """Frozen settings; ``Settings.from_environment()`` reads them, tests build them directly.

    Attributes:
        home: folder of Timbre's own data (TIMBRE_HOME).
        database_url: SQLAlchemy URL of the library (TIMBRE_DATABASE_URL).
        store_url: where audio lies: a folder or any fsspec URL (TIMBRE_STORE_URL).
        secret: what links, owners and pages are signed by, the same on every host that shares a library; never shown
            (TIMBRE_SECRET; in the home where it is not set).
        public_url: base of links given out, no slash at the end; "" when there is none (TIMBRE_PUBLIC_URL, SPACE_HOST).
        allow_private_urls: let a URL to fetch point at loopback or private addresses (TIMBRE_ALLOW_PRIVATE_URLS).
        novita_api_key: key of the hosted service, the owner's; never shown (NOVITA_API_KEY).
        novita_base_url: where the hosted service is, no slash at the end (NOVITA_BASE_URL).
        server_name: address to bind (GRADIO_SERVER_NAME).
        server_port: port to bind (GRADIO_SERVER_PORT).
        api_keys: keys that the owner gives out: bearer keys of the served API, and on the page a way to use the
            owner's hosted account; never shown (TIMBRE_API_KEYS, comma-separated).
        models_source: where engines are got from, instead of their makers': a folder or a URL (TIMBRE_MODELS_DIR,
            TIMBRE_MODELS_URL).
        models: engines to get at start (those in both TIMBRE_MODELS and TIMBRE_ACCEPT_TERMS).
        models_not_agreed: those of TIMBRE_MODELS whose terms nobody accepted; they are not got.
        engine: what speaks: "" for this process, or ray:HOST:PORT, the head of a cluster with replicas of the engine
            (TIMBRE_ENGINE).
        ray_token: what lets a machine join that cluster; never shown (TIMBRE_RAY_TOKEN).
        engine_jobs: jobs that are done at once where the engine is elsewhere (TIMBRE_ENGINE_JOBS).
        default_voice: id or name of the voice that speaks where a program asks for one that there is not, as “alloy”
            (TIMBRE_DEFAULT_VOICE).
        log_json: write the log as JSON, a record a line (TIMBRE_LOG=json).
        on_space: whether this is a Space, so the page stands in a frame of Hugging Face's (SPACE_ID).
    """

    home: Path
    database_url: str = field(repr=False)  # it may have a password in it
    store_url: str
    secret: str = field(default="", repr=False)
    public_url: str = ""
    allow_private_urls: bool = False
    novita_api_key: str = field(default="", repr=False)
    novita_base_url: str = "https://api.novita.ai"
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    server_name: str = "127.0.0.1"
    server_port: int = 7860
    on_space: bool = False
    log_json: bool = False
    default_voice: str = ""
    models_source: str = ""
    models: tuple[str, ...] = ()
    models_not_agreed: tuple[str, ...] = ()
    engine: str = ""
    ray_token: str = field(default="", repr=False)
    engine_jobs: int = 8

    @property
    def is_shared(self) -> bool:
        """Whether processes of other hosts may have the same library: its database is a server's, no file."""
        return not self.database_url.startswith("sqlite")

    def check_secret(self) -> None:
        """Raise unless there is a secret where one is needed, and it is long enough.

        Raises:
            TimbreError: ``bad_setting``.
        """
        if not self.secret and not self.is_shared:
            return
        if len(self.secret) < SECRET_MIN_CHARS:
            what = f"has {len(self.secret)} characters" if self.secret else "is not set, and the library is shared"
            raise TimbreError(
                f"TIMBRE_SECRET {what}; it must have {SECRET_MIN_CHARS} at least.",
                code="bad_setting",
                measured=len(self.secret),
                limit=SECRET_MIN_CHARS,
                advice="Make one, the same for every host: openssl rand -hex 32",
            )

    @classmethod
    def at(cls, home: Path, **changes: object) -> Settings:
        """Settings that keep everything below one folder."""
        values: dict[str, object] = {
            "home": home,
            "database_url": f"sqlite:///{home / 'library.db'}",
            "store_url": str(home / "audio"),
        }
        return cls(**(values | changes))  # type: ignore[arg-type]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings; unset and empty variables take their defaults.

        Raises:
            TimbreError: a variable's value can't be used.
        """
        given = {name: value for name, value in environ.items() if value.strip()}
        on_space = "SPACE_ID" in given
        home = Path(given.get("TIMBRE_HOME") or _default_home(on_space)).expanduser().absolute()
        changes: dict[str, object] = {
            "public_url": (given.get("TIMBRE_PUBLIC_URL") or _space_url(given)).rstrip("/"),
            "allow_private_urls": given.get("TIMBRE_ALLOW_PRIVATE_URLS", "0") == "1",
            "novita_api_key": given.get("NOVITA_API_KEY", "").strip(),
            "secret": given.get("TIMBRE_SECRET", "").strip(),
            "novita_base_url": (given.get("NOVITA_BASE_URL") or cls.novita_base_url).strip().rstrip("/"),
            "server_name": given.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if on_space else cls.server_name),
            "on_space": on_space,
            "log_json": given.get("TIMBRE_LOG", "").strip().lower() == "json",
            "default_voice": given.get("TIMBRE_DEFAULT_VOICE", "").strip(),
            "server_port": _number("GRADIO_SERVER_PORT", given.get("GRADIO_SERVER_PORT", str(cls.server_port))),
        }
        keys = (key.strip() for key in given.get("TIMBRE_API_KEYS", "").split(","))
        changes["api_keys"] = tuple(dict.fromkeys(key for key in keys if key))
        asked, agreed = (_engines(given, name) for name in ("TIMBRE_MODELS", "TIMBRE_ACCEPT_TERMS"))
        changes["models"] = tuple(name for name in asked if name in agreed)
        changes["models_not_agreed"] = tuple(name for name in asked if name not in agreed)
        changes["models_source"] = _models_source(given)
        changes["ray_token"] = given.get("TIMBRE_RAY_TOKEN", "").strip()
        changes["engine"] = _engine(given.get("TIMBRE_ENGINE", "").strip(), str(changes["ray_token"]))
        if "TIMBRE_ENGINE_JOBS" in given:
            changes["engine_jobs"] = _number("TIMBRE_ENGINE_JOBS", given["TIMBRE_ENGINE_JOBS"], 1, ENGINE_JOBS_MAX)
        for name, variable in (("database_url", "TIMBRE_DATABASE_URL"), ("store_url", "TIMBRE_STORE_URL")):
            if variable in given:
                changes[name] = given[variable]
        return cls.at(home, **changes)


def prepare_gradio(temporary_folder: Path) -> None:
    """Tell Gradio, before it is imported, to report nothing to anybody and where to keep files on their way."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(temporary_folder)


def prepare_onnxruntime() -> None:
    """Tell ONNX Runtime, before it is imported, to report nothing to its maker; its own call comes too late."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def prepare_openmp() -> None:
    """Let OpenMP's threads, before they are loaded, rest between runs: spinning, they take a core from what follows."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def prepare_ray(token: str, n_threads: int, code: Path) -> None:
    """Tell Ray, before it is imported or started, to let in only who has a token and to report nothing to its maker.

    Args:
        token: TIMBRE_RAY_TOKEN.
        n_threads: of numerical libraries in a replica; Ray would make it one.
        code: the folder that has ``clone`` in it, for the processes that Ray starts on this machine.
    """
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = token
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_USAGE_STATS_REPORT_URL"] = "http://127.0.0.1:9/"  # one notice is sent all the same
    os.environ["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] = "2"
    os.environ["OMP_NUM_THREADS"] = str(n_threads)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(code), *([before] if before else [])])


def has_screen(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a browser that is opened here is seen by whoever started the app."""
    if any(environ.get(name) for name in ("CI", "SSH_CONNECTION")):
        return False
    return sys.platform in ("darwin", "win32") or any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _default_home(on_space: bool) -> Path:
    return SPACE_DATA / "timbre" if on_space and SPACE_DATA.is_dir() else user_data_path("timbre")


def _space_url(given: Mapping[str, str]) -> str:
    host = given.get("SPACE_HOST", "").split(",")[0].strip()
    return f"https://{host}" if host else ""


def _engines(given: Mapping[str, str], variable: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in given.get(variable, "").split(",") if name.strip()))
    for name in names:
        if name not in ENGINES:
            raise TimbreError(
                f"{variable} names “{name[:20]}”; there is {', '.join(ENGINES)}.",
                code="bad_setting",
                measured=name[:20],
                limit=", ".join(ENGINES),
            )
    return names


def _models_source(given: Mapping[str, str]) -> str:
    folder, url = given.get("TIMBRE_MODELS_DIR", ""), given.get("TIMBRE_MODELS_URL", "").strip().rstrip("/")
    if folder and url:
        raise TimbreError("TIMBRE_MODELS_DIR and TIMBRE_MODELS_URL are both set; give one.", code="bad_setting")
    if url and not url.lower().startswith(("http://", "https://")):
        raise TimbreError("TIMBRE_MODELS_URL must begin with http:// or https://.", code="bad_setting")
    return url or (str(Path(folder).expanduser().absolute()) if folder else "")


def _number(variable: str, text: str, least: int = 0, most: int = MAX_PORT) -> int:
    if not (text.strip().isdecimal() and least <= int(text) <= most):
        raise TimbreError(
            f"{variable} is “{text[:20]}”; it must be a number from {least} to {most}.",
            code="bad_setting",
            measured=text[:20],
            limit=most,
        )
    return int(text)


def _engine(text: str, token: str) -> str:
    found = _RAY.fullmatch(text)
    if text and not (found and 0 < int(found[2]) <= MAX_PORT):
        raise TimbreError(
            f"TIMBRE_ENGINE is “{text[:40]}”; it is left out for the engine of this process, or ray:HOST:PORT.",
            code="bad_setting",
            measured=text[:40],
            limit="ray:HOST:PORT",
        )
    if text:
        check_ray_token(token)
    return text


def check_ray_token(token: str) -> None:
    """Refuse a token that is missing or could be guessed.

    Raises:
        TimbreError: ``bad_setting``.
    """
    if len(token) < RAY_TOKEN_MIN_CHARS or not token.isascii() or not token.isprintable() or " " in token:
        raise TimbreError(
            f"TIMBRE_RAY_TOKEN has {len(token)} characters; engines on other machines are only asked, and only let "
            f"themselves be asked, with one of at least {RAY_TOKEN_MIN_CHARS} letters and digits.",
            code="bad_setting",
            measured=len(token),
            limit=RAY_TOKEN_MIN_CHARS,
            advice=RAY_TOKEN_ADVICE,
        )
