"""From a recording as it was given to what is cloned of it: the part chosen, judged, in a format of the contract's."""

from __future__ import annotations

from pathlib import Path

from clone.audio import preflight
from clone.audio.finding import Report
from clone.audio.reader import Recording, read
from clone.audio.writer import accepted, stays, wav_bytes
from clone.contract import cloning
from clone.contract.orders import CloneOrder
from clone.core.jobs import Stop
from clone.engine.backend import Heard, LocalBackend
from clone.hosted.backend import Clip
from clone.studio.analysis import Bounds, part_of


def chosen(path: Path, bounds: Bounds | None, stop: Stop, *, as_sent: bool = False) -> tuple[Recording, Path | bytes]:
    """Return what is to be cloned, and its file: the recording, or the part of it from one second to another.

    Raises:
        AudioError: it can't be read; ``bad_stretch``; ``bad_format`` or ``too_big``, where the file goes ``as_sent``.
    """
    recording = read(path, stop=stop, begins_s=bounds[0] if bounds else 0.0)
    if bounds is None:
        if as_sent:
            cloning.check_format(recording.format)
            cloning.check_size(recording.n_bytes)
        return recording, path
    part = part_of(recording, bounds)
    return part, b"" if is_refused(part) else wav_bytes(part.samples, part.sample_rate)


def judged(
    backend: LocalBackend, recording: Recording, original: Path | bytes, stop: Stop
) -> tuple[Report, Heard, tuple[bytes, str]]:
    """Judge what would be cloned: the file itself, or the mp3 that a browser's recording becomes.

    Returns:
        The report, what was heard, and the bytes to clone from with their format.
    """
    if is_refused(recording):  # an hour is, without listening to it
        heard, kept = Heard(recording.samples, recording.sample_rate, []), (b"", recording.format)
        report = preflight.check(recording, recording.n_bytes, heard.spans)
        return Report(tuple(f for f in report.findings if f.code != "no_speech")), heard, kept
    kept = accepted(recording, original, stop)
    heard = backend.listen(recording.samples, recording.sample_rate)
    return preflight.check(recording, len(kept[0]), heard.spans), heard, kept


def is_refused(recording: Recording) -> bool:
    """Tell whether a recording is too long or too big whatever else it is like."""
    too_big = stays(recording) and recording.n_bytes > cloning.REFERENCE_MAX_BYTES
    return recording.duration_s > cloning.REFERENCE_MAX_S or too_big


def is_by_links(order: CloneOrder) -> bool:
    """Tell whether all that an order sends can be had by the links it was given by."""
    whole = isinstance(order.audio, str) and order.stretch is None
    return whole and not isinstance(order.prompt_audio, Path)


def clips(backend: LocalBackend, order: CloneOrder) -> tuple[Clip, Clip | None]:
    """Return the reference and the prompt clip of an order to be sent, what was given by a link by that link.

    Args:
        backend: listens.
        order: what is to be cloned; a part of it, of a file only.

    Raises:
        AudioError: what would refuse it at cloning.
        PromptError: the prompt clip is too long.
    """
    if isinstance(order.audio, str):
        reference = Clip(b"", "", order.audio)
    else:
        recording, original = chosen(order.audio, order.stretch, Stop())
        report, _, kept = judged(backend, recording, original, Stop())
        report.raise_if_refused()
        reference = Clip(*kept)
    return reference, _prompt_clip(order.prompt_audio)


def _prompt_clip(given: Path | str | None) -> Clip | None:
    if not isinstance(given, Path):
        return Clip(b"", "", given) if given else None
    recording = read(given, field="prompt_audio")
    cloning.check_prompt_duration(recording.duration_s)
    return Clip(*accepted(recording, given))
