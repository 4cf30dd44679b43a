"""What a voice needs to speak: learned once from its reference, kept as one file."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from clone.engine.conversion import N_BANDS, N_FFT, Frames
from clone.engine.prosody import PAUSES_BETWEEN_S, Pitch
from clone.engine.speaker import halves_likeness, mean_direction
from clone.engine.styles import ROWS

ENGINE_VERSION = "4"
"""Raised whenever profiles learned before would sound different: an older voice is learned again."""

PROFILE_FILE = "profile.npz"

MAX_ARRAYS, MAX_BYTES = 20, 32_000_000
MAX_FRAMES = 10_000
"""Three minutes: more than is ever learned from, a prompt clip included."""
N_VECTOR, N_FEATURES = 256, 512
"""Of a speaker embedding and a style; of Whisper base's encoder."""
NUMBER_MAX, UNIT_WITHIN = 10_000.0, 0.05


@dataclass(frozen=True)
class Profile:
    """A voice, as a value.

    Attributes:
        windows: float32, shape (n_windows, 256), unit speaker embeddings along the reference: SpeakerEncoder.windows().
        pitch_hz: median pitch to speak at; 0 when unknown.
        rate: phonemes per second of speech to speak at; 0 when unknown.
        style: float32, shape (n_rows, 256), Kokoro's style for it.
        pitch: where that style's pitch lies, and where this voice wants it.
        frames: what the reference sounds like, frame by frame.
        pause_s: how long it pauses between sentences.
        range_st: how far its pitch moves, a standard deviation in semitones; 0 when unknown.
        others: what engines beside Kokoro and hibari learned, each by its name; a file of its own for each.
    """

    windows: np.ndarray
    pitch_hz: float
    rate: float
    style: np.ndarray
    pitch: Pitch
    frames: Frames
    pause_s: float
    range_st: float
    others: Mapping[str, bytes] = field(default_factory=dict)
    mixed: tuple[tuple[float, Frames], ...] = ()
    """Shares and frames of the voices in a mix, which is never kept."""

    @property
    def timbres(self) -> tuple[tuple[float, Frames], ...]:
        """What speech is to sound like: frames, and the share of each."""
        return self.mixed or ((1.0, self.frames),)

    @property
    def embedding(self) -> np.ndarray:
        """The reference's speaker embedding: float32, shape (256,), unit."""
        return mean_direction(self.windows)

    @property
    def ceiling(self) -> float:
        """The cosine between the reference's own two halves."""
        return halves_likeness(self.windows)

    @classmethod
    def mix(cls, weighted: Sequence[tuple[float, Profile]]) -> Profile:
        """Return a voice between voices: style, pitch and rate of all, by weight, and the frames of each.

        What other engines learned of one voice can't be mixed, so that they don't know this one.
        """
        total = sum(weight for weight, _ in weighted)
        shares = [(weight / total, profile) for weight, profile in weighted]
        first = max(shares, key=lambda each: each[0])[1]

        return replace(
            first,
            pitch_hz=_geometric_mean([(share, each.pitch_hz) for share, each in shares]),
            rate=_geometric_mean([(share, each.rate) for share, each in shares]),
            style=np.asarray(sum(share * each.style for share, each in shares), np.float32),
            pause_s=_geometric_mean([(share, each.pause_s) for share, each in shares]),
            range_st=_geometric_mean([(share, each.range_st) for share, each in shares]),
            pitch=_pitch_between([(share, each.pitch) for share, each in shares]),
            others={},
            mixed=tuple((share, each.frames) for share, each in shares),
        )

    def files(self) -> dict[str, bytes]:
        """Return everything that was learned as the files that are kept with the voice, by their names."""
        return {PROFILE_FILE: self.to_bytes()} | {f"{name}.npz": kept for name, kept in self.others.items()}

    def to_bytes(self, *, exact: bool = False) -> bytes:
        """Return what Kokoro and hibari need as an npz file, features in half precision unless it is to be exact."""
        kept, precision = io.BytesIO(), np.float32 if exact else np.float16
        np.savez(
            kept,
            engine_version=np.array(ENGINE_VERSION),
            pitch=np.array(astuple(self.pitch)),
            windows=self.windows.astype(precision),
            features=self.frames.features.astype(precision),
            envelopes=self.frames.envelopes.astype(precision),
            levels=self.frames.levels,
            spectrum=self.frames.spectrum,
            n_bands=np.array(self.frames.n_bands),
            pitch_hz=self.pitch_hz,
            rate=self.rate,
            pause_s=self.pause_s,
            range_st=self.range_st,
            style=self.style,
        )
        return kept.getvalue()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Profile | None:
        """Read a profile back; None when another version of the engine made it, or when it is damaged."""
        try:
            return cls._read(kept)
        except (ValueError, KeyError, OSError, EOFError, BadZipFile):
            return None

    @classmethod
    def from_elsewhere(cls, kept: bytes) -> Profile | None:
        """Read a profile that may be anything, as from_bytes(); None, too, where its numbers can't be a voice's."""
        profile = cls.from_bytes(kept) if _is_bounded(kept) else None
        return profile if profile is not None and profile._is_possible() else None

    def _is_possible(self) -> bool:
        frames, n_frames = self.frames, len(self.frames.levels)
        numbers = (self.pitch_hz, self.rate, self.pause_s, self.range_st, *astuple(self.pitch))
        arrays = (self.windows, self.style, frames.features, frames.envelopes, frames.levels, frames.spectrum)
        shapes = [each.shape for each in arrays]
        return (
            0 < n_frames <= MAX_FRAMES
            and 0 < len(self.windows) <= MAX_FRAMES
            and shapes[0][1:] == (N_VECTOR,)
            and shapes[1:]
            == [(len(ROWS), N_VECTOR), (n_frames, N_FEATURES), (n_frames, N_BANDS), (n_frames,), (N_FFT // 2 + 1,)]
            and 0 < frames.n_bands <= N_BANDS
            and all(each.dtype == np.float32 and np.abs(each).max() < NUMBER_MAX for each in arrays)
            and all(0 <= each < NUMBER_MAX for each in numbers)
            and self.pause_s <= PAUSES_BETWEEN_S[1]
            and np.abs(np.linalg.norm(self.windows, axis=1) - 1).max() < UNIT_WITHIN
        )

    @classmethod
    def _read(cls, kept: bytes) -> Profile | None:
        with np.load(io.BytesIO(kept), allow_pickle=False) as values:
            if str(values["engine_version"]) != ENGINE_VERSION:
                return None
            frames = Frames(
                values["features"].astype(np.float32),
                values["envelopes"].astype(np.float32),
                values["levels"],
                values["spectrum"],
                int(values["n_bands"]),
            )
            return cls(
                values["windows"].astype(np.float32),
                float(values["pitch_hz"]),
                float(values["rate"]),
                values["style"],
                Pitch(*(float(value) for value in values["pitch"])),
                frames,
                float(values["pause_s"]),
                float(values["range_st"]),
            )


def _is_bounded(kept: bytes) -> bool:
    """Tell whether an npz unpacks to no more than it may, and no array promises more than is there, nor objects."""
    try:
        with ZipFile(io.BytesIO(kept)) as archive:
            entries = archive.infolist()
            return (
                len(entries) <= MAX_ARRAYS
                and sum(each.file_size for each in entries) <= MAX_BYTES
                and all(_holds_what_it_says(archive, each) for each in entries)
            )
    except (ValueError, OSError, EOFError, BadZipFile, NotImplementedError, RuntimeError, zlib.error):
        return False


def _holds_what_it_says(archive: ZipFile, entry: ZipInfo) -> bool:
    with archive.open(entry) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            return False
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return dtype.kind in "fiU" and math.prod(shape) * dtype.itemsize <= entry.file_size


def _geometric_mean(values: Sequence[tuple[float, float]]) -> float:
    """Return the mean of values by their shares, those that are known (above 0); 0 where none is."""
    known = [(share, value) for share, value in values if value > 0]
    total = sum(share for share, _ in known)
    return float(np.exp(sum(share * np.log(value) for share, value in known) / total)) if known else 0.0


def _pitch_between(pitches: Sequence[tuple[float, Pitch]]) -> Pitch:
    if any(pitch.centre_hz <= 0 for _, pitch in pitches):  # of one voice nothing is known
        return Pitch()
    fields = zip(*(astuple(pitch) for _, pitch in pitches), strict=True)
    shares = [share for share, _ in pitches]
    return Pitch(*(_geometric_mean([*zip(shares, values, strict=True)]) for values in fields))
