"""Engines that are not installed with Timbre: what they weigh, under which terms, and how they are got.

A model's files lie in a folder of its name. One that is being got is a ``.part`` beside them, which is gone on with; it
takes its place when its sha256 is right, and not before. Once all are here, a judge says whether the model is any
better than what it would replace.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from clone.core.errors import FetchError, WeightsError, disk_full
from clone.core.fetching import complete, drop
from clone.core.jobs import Stop
from clone.core.workspace import make_private_folder, sync_folder

_CHUNK_BYTES = 1 << 20
_LOOK_S = 0.2
_VERDICT_MAX_BYTES = 10_000
_NOT_JUDGED = "It has not been compared with what it replaces yet; get it again, which fetches nothing twice."
_UNWRITABLE = "Timbre can't write into its folder of models."

_INT8 = (
    "https://huggingface.co/csukuangfj2/sherpa-onnx-pocket-tts-int8-2026-01-26/resolve/"
    "e715955cf50d18d919d37231513c0e914b83661a/"
)
_FLOAT32 = (
    "https://huggingface.co/csukuangfj2/sherpa-onnx-pocket-tts-2026-01-26/resolve/"
    "96d1e53ce3311ca6c2c6a35e2062d36b4cec6fa3/"
)


@dataclass(frozen=True)
class File:
    """One file of a model: its length, its hash, and where its makers have it."""

    name: str
    n_bytes: int
    sha256: str
    url: str


@dataclass(frozen=True)
class Model:
    """An engine's files; ``terms`` is for a person to read before getting them, in paragraphs."""

    name: str
    title: str
    files: tuple[File, ...]
    licence: str
    terms: str
    languages: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        """The length of all its files."""
        return sum(file.n_bytes for file in self.files)


def _hub(folder: str, name: str, n_bytes: int, sha256: str) -> File:
    return File(name, n_bytes, sha256, folder + name)


# Of the decoder, the float32 one: the other's hiss lies only about 20 dB below the voice.
POCKET = Model(
    "pocket",
    "Pocket TTS",
    (
        _hub(
            _INT8, "lm_main.int8.onnx", 76_341_079, "bfc0c7e7e3d72864fa3bb2ee499f62f21ddc1474b885f5f3ca570f8be73e787e"
        ),
        _hub(_INT8, "lm_flow.int8.onnx", 9_962_530, "8d627d235c44a597da908e1085ebe241cbbe358964c502c5a5063d18851a5529"),
        _hub(_INT8, "encoder.onnx", 72_713_165, "e8f2f6d301ffb96e398b138a7dc6d3038622d236044636b73d920bab85890260"),
        _hub(_FLOAT32, "decoder.onnx", 41_478_706, "f267880fde6c58b17b0a8f3647eaf8dcfad321f833f32d583ebc2fb2d1a15f10"),
        _hub(
            _INT8,
            "text_conditioner.onnx",
            16_388_343,
            "0b84e837d7bfaf2c896627b03e3f080320309f37f4fc7df7698c644f7ba5e6b1",
        ),
        _hub(_INT8, "vocab.json", 69_478, "6fb646346cf931016f70c4921aab0900ce7a304b893cb02135c74e294abfea01"),
        _hub(_INT8, "token_scores.json", 123_616, "5be2f278caf9b9800741f0fd82bff677f4943ec764c356f907213434b622d958"),
    ),
    licence="CC-BY-4.0",
    terms="""\
Pocket TTS is made by Kyutai. Its weights are under CC-BY-4.0: they may be used, changed and passed on by whoever names
Kyutai as their maker. The files are an ONNX export of them, made for sherpa-onnx. Timbre contains nothing of them.

Its makers add terms of use. Do not clone or imitate a voice without the explicit and lawful consent of its owner. Do
not deceive with it: no fake news, no fraudulent calls, nothing passed off as a genuine recording of real people or
events. Do not make what is unlawful, harmful, libellous, harassing, discriminating, hateful or invades somebody's
privacy. Keep to the laws that apply to you. The makers take no liability for other use.

The readme of the export adds a sentence about non-commercial use, whose standing beside CC-BY-4.0 is not clear. If you
mean to use it commercially, ask its makers first.

This is a summary; what counts are the texts themselves.

Terms of use: https://huggingface.co/kyutai/pocket-tts

Licence: https://creativecommons.org/licenses/by/4.0/legalcode

Export: https://huggingface.co/csukuangfj2/sherpa-onnx-pocket-tts-int8-2026-01-26""",
    languages=("English",),
)

Judge = Callable[[Model], str]
"""Says why a model is worse than what it would replace, in a sentence; "" when it is not."""
TellBytes = Callable[[int, int], None]
"""Told how many bytes are here, and how many there are in all."""


@dataclass(frozen=True)
class ModelStatus:
    """A model as a person is shown it. ``verdict`` says why it is not used although it is here; else it is empty."""

    name: str
    title: str
    n_bytes: int
    licence: str
    terms: str
    languages: tuple[str, ...]
    is_here: bool
    is_judged: bool
    verdict: str

    @property
    def size(self) -> str:
        """Its length as it is said: ``217 MB``."""
        return megabytes(self.n_bytes)


def megabytes(n_bytes: int) -> str:
    """Return a length as it is said: ``217 MB``, ``1.4 MB``."""
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 10e6 else f"{n_bytes / 1e6:.2g} MB"


class Models:
    """Gets models and keeps them; thread-safe, and safe beside other processes of the same home.

    Args:
        folder: where they are kept.
        catalogue: those that there are.
        source: a folder or a URL with a folder a model, to get them from; "" for where their makers have them.
        judge: asked once a model has been got; can be set later, for it may need an engine that needs this.
        allow_private: let a URL lead to loopback and private addresses.
    """

    def __init__(
        self,
        folder: Path,
        catalogue: tuple[Model, ...] = (POCKET,),
        source: str = "",
        judge: Judge | None = None,
        *,
        allow_private: bool = False,
    ) -> None:
        self.catalogue = catalogue
        self._folder = folder
        self._source = source.rstrip("/")
        self.judge = judge
        self._allow_private = allow_private

    def model(self, name: str) -> Model:
        """Return the model of a name.

        Raises:
            WeightsError: ``unknown_model``.
        """
        for model in self.catalogue:
            if model.name == name:
                return model
        names = ", ".join(model.name for model in self.catalogue)
        raise WeightsError(
            f"There is no engine named “{name[:40]}”.", code="unknown_model", advice=f"There is: {names}."
        )

    def path(self, name: str, file_name: str) -> Path:
        """Return where a file of a model lies once it is here; raises as ``model``, and for a file it does not have."""
        return self._path(self.model(name), self._file(name, file_name))

    def is_here(self, name: str) -> bool:
        """Tell whether all files of a model are here, by their lengths."""
        model = self.model(name)
        return all(_size(self._path(model, file)) == file.n_bytes for file in model.files)

    def read(self, name: str, file_name: str) -> bytes:
        """Return what is in a file of a model, checked.

        Raises:
            WeightsError: it is not here, or not the file it should be.
        """
        model, file = self.model(name), self._file(name, file_name)
        try:
            data = self._path(model, file).read_bytes()
        except OSError:
            message, advice = f"{file.name} of {model.title} is not here.", _again(model)
            raise WeightsError(message, code="weights_missing", advice=advice) from None
        if hashlib.sha256(data).hexdigest() != file.sha256:
            message = f"{file.name} of {model.title} is damaged: its sha256 is not {file.sha256[:12]}…."
            raise WeightsError(message, code="weights_damaged", advice=_again(model))
        return data

    def verdict(self, name: str) -> str:
        """Say why a model that is here is not to be used; "" when it may be, or nothing is known against it."""
        model = self.model(name)
        if not self.is_here(name):
            return ""
        kept = self._kept_verdict(model)
        return kept if kept is not None else _NOT_JUDGED if self.judge else ""

    def is_usable(self, name: str) -> bool:
        """Tell whether a model is here and may be used."""
        return self.is_here(name) and not self.verdict(name)

    def status(self, name: str) -> ModelStatus:
        """Return a model as a person is shown it."""
        m = self.model(name)
        is_here, verdict = self.is_here(name), self.verdict(name)
        is_judged = is_here and verdict != _NOT_JUDGED
        return ModelStatus(m.name, m.title, m.n_bytes, m.licence, m.terms, m.languages, is_here, is_judged, verdict)

    def get(self, name: str, stop: Stop, tell: TellBytes) -> None:
        """Get what is missing of a model, and have it judged if it has not been.

        Args:
            name: which one; whoever asks has accepted its terms.
            stop: obeyed at once, but for the judge; what has come so far is gone on with next time.
            tell: how far it is.

        Raises:
            WeightsError: it can't be got, in one sentence.
            DiskFull: there is no room for it.
            CancelledError: ``stop`` was asked.
        """
        model = self.model(name)
        with self._alone(model, stop, tell):
            with _writing():
                self._get_files(model, stop, tell)
            if self.judge is not None and self._kept_verdict(model) is None:
                said = self.judge(model)
                with _writing():
                    self._keep_verdict(model, said)

    @contextmanager
    def _alone(self, model: Model, stop: Stop, tell: TellBytes) -> Iterator[None]:
        """Wait until no other thread or process gets this model; tell meanwhile how far that one is."""
        folder = self._folder / model.name
        with _writing():
            make_private_folder(folder)
        lock = FileLock(folder / ".lock", mode=0o600, thread_local=False)
        while not lock.is_locked:
            stop.check()
            try:
                with _writing():
                    lock.acquire(timeout=0)
            except Timeout:
                tell(self._n_here(model), model.n_bytes)
                stop.pause(_LOOK_S)
        try:
            yield
        finally:
            lock.release()

    def _get_files(self, model: Model, stop: Stop, tell: TellBytes) -> None:
        missing = [file for file in model.files if not self._is_whole(model, file, stop)]
        self._check_room(model, missing)
        tell(self._n_here(model), model.n_bytes)
        for file in missing:
            self._get_file(model, file, stop, tell)
        for left in (self._folder / model.name).glob("*.part*"):  # of versions that are no longer asked for
            left.unlink(missing_ok=True)

    def _get_file(self, model: Model, file: File, stop: Stop, tell: TellBytes) -> None:
        path, part = self._path(model, file), self._part(model, file)
        n_before = self._n_here(model) - _size(part)

        def tell_part(n_here: int) -> None:
            tell(n_before + n_here, model.n_bytes)

        was_begun = True
        while was_begun:  # of a part that was wrong from its beginning, all is got anew
            was_begun = _size(part) > 0
            try:
                self._bring(model, file, stop, tell_part)
            except OSError as error:
                if disk_full(error):
                    drop(part)
                raise
            stop.check()
            if _sha256(part) == file.sha256:
                _sync(part)  # before its name changes: a power cut leaves all of it or none
                os.replace(part, path)
                drop(part)
                sync_folder(path.parent)
                return
            drop(part)
        raise WeightsError(
            f"What came as {file.name} of {model.title} is not that file: its sha256 is not {file.sha256[:12]}…; "
            "nothing of it was kept.",
            code="weights_damaged",
            advice="Try again later, or get it from somewhere else.",
        )

    def _bring(self, model: Model, file: File, stop: Stop, tell: Callable[[int], None]) -> None:
        part = self._part(model, file)
        is_url = self._source.lower().startswith(("http://", "https://"))
        if self._source and not is_url:
            self._copy(model, file, stop, tell)
            return
        url = f"{self._source}/{model.name}/{file.name}" if is_url else file.url
        try:
            complete(url, part, file.n_bytes, allow_private=self._allow_private, tell=tell, stop=stop)
        except FetchError as error:
            raise _not_got(model, file, error) from None

    def _copy(self, model: Model, file: File, stop: Stop, tell: Callable[[int], None]) -> None:
        try:
            source = open(Path(self._source) / model.name / file.name, "rb", opener=_not_waiting)  # noqa: SIM115
        except OSError:
            message = f"The folder TIMBRE_MODELS_DIR has no {model.name}/{file.name} that can be read."
            raise WeightsError(message, code="weights_missing", advice="Put it there, or unset it.") from None
        part = self._part(model, file)
        drop(part)
        with source:
            told = os.fstat(source.fileno())
            if not stat.S_ISREG(told.st_mode) or told.st_size != file.n_bytes:
                raise WeightsError(
                    f"{model.name}/{file.name} in TIMBRE_MODELS_DIR is {told.st_size:,} bytes long and not "
                    f"{file.n_bytes:,}: it may be cut off.",
                    code="weights_damaged",
                    measured=told.st_size,
                    limit=file.n_bytes,
                    advice="Copy it there again.",
                )
            with open(part, "xb", opener=_private) as copy:
                for begin in range(0, file.n_bytes, _CHUNK_BYTES):
                    stop.check()
                    copy.write(source.read(min(_CHUNK_BYTES, file.n_bytes - begin)))
                    tell(copy.tell())

    def _check_room(self, model: Model, missing: list[File]) -> None:
        n_bytes = sum(file.n_bytes - min(file.n_bytes, _size(self._part(model, file))) for file in missing)
        n_free = shutil.disk_usage(self._folder).free
        if n_free < n_bytes:
            raise WeightsError(
                f"{model.title} needs {megabytes(n_bytes)} more of the disk, and {megabytes(n_free)} are free.",
                code="disk_full",
                measured=n_free,
                limit=n_bytes,
                advice="Make room there, and try again.",
            )

    def _is_whole(self, model: Model, file: File, stop: Stop) -> bool:
        stop.check()
        path = self._path(model, file)
        if _size(path) == file.n_bytes and _sha256(path) == file.sha256:
            return True
        path.unlink(missing_ok=True)
        return False

    def _n_here(self, model: Model) -> int:
        return sum(
            min(file.n_bytes, max(_size(self._path(model, file)), _size(self._part(model, file))))
            for file in model.files
        )

    def _file(self, name: str, file_name: str) -> File:
        model = self.model(name)
        for file in model.files:
            if file.name == file_name:
                return file
        raise WeightsError(f"{model.title} has no file {file_name[:40]}.", code="unknown_model")

    def _path(self, model: Model, file: File) -> Path:
        return self._folder / model.name / file.name

    def _part(self, model: Model, file: File) -> Path:
        # The hash is part of the name, so that a new version never goes on with an old one's.
        return self._folder / model.name / f"{file.sha256[:12]}-{file.name}.part"

    def _verdict_path(self, model: Model) -> Path:
        return self._folder / model.name / "verdict.json"

    def _kept_verdict(self, model: Model) -> str | None:
        try:
            with self._verdict_path(model).open("rb") as file:
                kept = json.loads(file.read(_VERDICT_MAX_BYTES))
            said = kept["said"] if kept["of"] == _hash_of(model) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return said if isinstance(said, str) else None

    def _keep_verdict(self, model: Model, said: str) -> None:
        path = self._verdict_path(model)
        draft = path.with_name("verdict.part")
        draft.write_text(json.dumps({"of": _hash_of(model), "said": said}), encoding="utf-8")
        os.replace(draft, path)


@contextmanager
def _writing() -> Iterator[None]:
    """Say in our words what the file system says, without its paths."""
    try:
        yield
    except Timeout:
        raise
    except OSError as error:
        unwritable = WeightsError(_UNWRITABLE, code="unwritable", advice="See who may write below TIMBRE_HOME.")
        raise disk_full(error) or unwritable from None


def _not_got(model: Model, file: File, error: FetchError) -> WeightsError:
    said = error.message
    if error.code == "url_web_page":  # as a network sends it that asks to sign in
        said = f"a web page came in place of {file.name}."
    advice = "Try again: what has come so far is kept."
    if error.code == "url_private":
        advice = "If that is a mirror of your own, set TIMBRE_ALLOW_PRIVATE_URLS=1."
    return WeightsError(
        f"{model.title} could not be got: {said[0].lower()}{said[1:]}",
        code=error.code,
        measured=error.measured,
        limit=error.limit,
        advice=advice,
    )


def _again(model: Model) -> str:
    return f"Get it again: python -m clone models get {model.name}."


def _hash_of(model: Model) -> str:
    return hashlib.sha256("".join(file.sha256 for file in model.files).encode()).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _not_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # for a writer, where it is a pipe
