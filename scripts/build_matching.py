"""Make assets/matching.npz: how conversion tells which frames of a reference say what a base frame says.

    pip install -r requirements-bench.txt
    python scripts/build_matching.py SPEECH assets/matching.npz

SPEECH holds real recordings: ``<speaker>/*``, ten utterances each, or ``<speaker>.flac``. One utterance is rebuilt from
others of the same speaker. It is heard resampled by another factor than they are, so pitch, formants and pace differ
and the speaker can't be recognised; its true envelopes are known all the same. What is learned are two projections of
Whisper's features, one for what is asked and one for where it is looked up, by the envelopes' squared error. About five
minutes on two idle cores. ``--without 5 0`` leaves every fifth speaker out, from the first on: a fold to judge by.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.speakers import files_by_speaker
from clone.audio.reader import read, resample
from clone.engine import conversion
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.asr import Recognizer

WARPS = (0.86, 1.0, 1.16)
SHARES = (0.3, 0.4, 0.3)
"""How often what is rebuilt is resampled by each."""

MAX_S = 9.0
N_DRAWS, N_EPOCHS, N_BATCH = 3, 3, 4
N_PROJECTED, MAX_REFERENCE = 128, 4
LEARNING_RATE = 1e-3
SHARPNESS, HUB_SHARE = 12.0, 0.5
SMOOTHING_FRAMES = 1.5
SEED = 5

Heard = tuple[np.ndarray, np.ndarray]
"""A recording's features and its power by frame and band."""


@dataclass(frozen=True)
class Example:
    """One utterance to be rebuilt: features of both sides, the reference's envelopes, the true ones, their weights."""

    asked: torch.Tensor
    reference: torch.Tensor
    envelopes: torch.Tensor
    truth: torch.Tensor
    weights: torch.Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn which frames of a reference say what a base frame says.")
    parser.add_argument("speech", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", type=int, nargs=2, metavar=("FOLDS", "FOLD"))
    arguments = parser.parse_args()
    everybody = files_by_speaker(arguments.speech)
    folds, fold = arguments.without or (1, 1)
    kept = {name: files for i, (name, files) in enumerate(everybody.items()) if i % folds != fold}
    recognizer, random = Recognizer(Path("weights")), np.random.default_rng(SEED)
    examples: list[Example] = []
    for name, files in kept.items():
        examples += list(drawn(heard(recognizer, files), random))
        print(name, len(examples), flush=True)
    query, key, sharpness, hub_share = learned(examples)
    np.savez(
        arguments.out,
        query=query.detach().numpy().astype(np.float16),
        key=key.detach().numpy().astype(np.float16),
        sharpness=np.float32(sharpness.exp().item()),
        hub_share=np.float32(hub_share.item()),
    )


def heard(recognizer: Recognizer, files: list[Path]) -> list[dict[float, Heard]]:
    """Return every piece of a speaker's recordings, resampled by each of WARPS; a single recording is halved."""
    pieces = []
    for file in files:
        recording = read(file)
        samples, rate = recording.samples, recording.sample_rate
        parts = [samples[: int(MAX_S * rate)]] if len(files) > 1 else np.array_split(samples, 2)
        for part in parts:
            pieces.append({warp: analysed(recognizer, part, round(rate * warp)) for warp in WARPS})
    return pieces


def analysed(recognizer: Recognizer, samples: np.ndarray, rate: int) -> Heard:
    """Return features, shape (n_frames, 512), and power, shape (n_frames, N_BANDS)."""
    features = recognizer.features(resample(samples, rate, HEARD_RATE))
    sound = resample(samples, rate, conversion.SAMPLE_RATE)
    bins = np.abs(conversion._stft(sound, conversion.N_ENVELOPE_HOP)[: len(features)]) ** 2
    return features[: len(bins)], bins @ conversion._mel_basis().T


def drawn(pieces: list[dict[float, Heard]], random: np.random.Generator) -> Iterator[Example]:
    """Give every piece of one speaker a few times, each time with other pieces as the reference."""
    n_draws = N_DRAWS if len(pieces) > 2 else 2 * N_DRAWS
    for at in [at for at in range(len(pieces)) for _ in range(n_draws)]:
        true, other = random.choice(WARPS, 2, replace=False, p=SHARES)
        rest = [piece for i, piece in enumerate(pieces) if i != at]
        if len(rest) > MAX_REFERENCE:
            chosen = random.choice(len(rest), int(random.integers(1, MAX_REFERENCE + 1)), replace=False)
            rest = [rest[i] for i in chosen]
        yield example(pieces[at][other], pieces[at][true], [piece[true] for piece in rest], other / true)


def example(asked: Heard, true: Heard, rest: list[Heard], ratio: float) -> Example:
    """Return one example; a frame of what is asked lies in the true recording at ``ratio`` times its number."""
    features, power = (np.concatenate(side) for side in zip(*rest, strict=True))
    spoken = speech(power)
    n_bands = conversion._filled_bands(power[spoken])
    at = np.clip(np.arange(len(asked[1])) * ratio, 0, len(true[1]) - 1)
    near, mask = np.round(at).astype(int), speech(asked[1])
    decibels = 10 * np.log10(true[1] + 1e-10)
    low, share = at.astype(int), (at - at.astype(int))[:, None]
    truth = decibels[low] * (1 - share) + decibels[np.minimum(low + 1, len(decibels) - 1)] * share
    level = 10 * np.log10(true[1].sum(axis=1) + 1e-10)
    # Quiet frames are the room more than the voice.
    weights = np.clip((level[near] - level.max() + 35) / 20, 0.05, 1) * speech(true[1])[near]
    sides = (
        conversion._normalised(asked[0], mask),
        conversion._normalised(features, spoken),
        centred(10 * np.log10(power[spoken] + 1e-10), n_bands),
        centred(truth[mask], n_bands),
        weights[mask],
    )
    return Example(*(torch.from_numpy(np.asarray(side, np.float32)) for side in sides))


def speech(power: np.ndarray) -> np.ndarray:
    """Tell speech frames from pauses, as conversion.analyse() does."""
    level = 10 * np.log10(power.sum(axis=1) + 1e-10)
    return np.asarray(level > level.max() - conversion.SPEECH_BELOW_PEAK_DB)


def centred(envelopes: np.ndarray, n_bands: int) -> np.ndarray:
    """Return the bands that the recording fills, each frame's mean removed."""
    filled = envelopes[:, :n_bands]
    return np.asarray(filled - filled.mean(axis=1, keepdims=True))


def learned(examples: list[Example]) -> tuple[torch.Tensor, ...]:
    """Return both projections, the logarithm of the sharpness, and the share of the hub correction."""
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    query, key = (principal(examples).requires_grad_() for _ in range(2))
    sharpness, hub_share = (torch.tensor(value, requires_grad=True) for value in (float(np.log(SHARPNESS)), HUB_SHARE))
    rates = [0.3 * LEARNING_RATE, 3 * LEARNING_RATE]
    groups = [[query, key], [sharpness, hub_share]]
    optimizer = torch.optim.Adam([{"params": g, "lr": r} for g, r in zip(groups, rates, strict=True)])
    n_steps = N_EPOCHS * (len(examples) // N_BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=n_steps + 1, pct_start=0.1)
    for _ in range(N_EPOCHS):
        order, total = random.permutation(len(examples)), 0.0
        for batch in order[: len(order) // N_BATCH * N_BATCH].reshape(-1, N_BATCH):
            for i in batch:
                loss = error(examples[i], query, key, sharpness, hub_share) / N_BATCH
                loss.backward()
                total += loss.item()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        print(f"squared error {N_BATCH * total / len(order):.2f} dB²", flush=True)
    return query, key, sharpness, hub_share


def principal(examples: list[Example]) -> torch.Tensor:
    """Return the directions in which features differ most: with them the attention begins as the cosine."""
    features = torch.cat([side[::7] for each in examples for side in (each.reference, each.asked)])
    return torch.linalg.eigh(features.T @ features)[1].flip(1)[:, :N_PROJECTED].clone()


def error(
    one: Example, query: torch.Tensor, key: torch.Tensor, sharpness: torch.Tensor, hub_share: torch.Tensor
) -> torch.Tensor:
    """Return the mean squared error of the rebuilt envelopes in dB², smoothed: single harmonics don't count."""
    cosines = functional.normalize(one.asked @ query, dim=1) @ functional.normalize(one.reference @ key, dim=1).T
    hub = torch.logsumexp(conversion.HUB_SHARPNESS * cosines, 0) / conversion.HUB_SHARPNESS
    weights = torch.softmax(sharpness.exp() * (cosines - hub_share * hub), 1)
    apart = (weights @ one.envelopes - one.truth) * one.weights[:, None]
    reach = int(4 * SMOOTHING_FRAMES + 0.5)
    window = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * SMOOTHING_FRAMES**2))
    padded = functional.pad(apart.T[:, None], (reach, reach), mode="replicate")
    smooth = functional.conv1d(padded, (window / window.sum())[None, None])[:, 0]
    return (smooth[:, one.weights > 0] ** 2).mean()


if __name__ == "__main__":
    main()
