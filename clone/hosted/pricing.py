"""What a paid request is likely to cost: characters and voices times a table. An estimate, never a promise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from clone.contract.cloning import MODELS, CloneOptions, Tier, tier

KEEP_TEXT = "Hi."
"""What is said to keep a hosted voice. Any speech counts, and it is paid by the character."""

KEEP_MODEL = next(name for name in reversed(MODELS) if tier(name) == "turbo")


@dataclass(frozen=True)
class PriceList:
    """Prices in US dollars: of one voice, and of a million characters by tier."""

    seller: str
    voice: float
    million: dict[Tier, float]
    source: str
    seen: date


MINIMAX = PriceList(
    "MiniMax", 1.50, {"hd": 100.0, "turbo": 60.0}, "MiniMax's documentation of its prices", date(2026, 11, 22)
)
"""Of MiniMax, whose models they are; a voice is charged when it first speaks. Novita's own prices were not found."""


@dataclass(frozen=True)
class Bill:
    """What is to be paid for."""

    n_voices: int = 0
    n_chars: int = 0
    model: str = KEEP_MODEL


def clone_bill(options: CloneOptions) -> Bill:
    """Return what a clone with these options is billed for: a voice, and the preview's characters."""
    return Bill(1, len(options.text or ""), options.model or KEEP_MODEL)


KEEP_BILL = Bill(0, len(KEEP_TEXT), KEEP_MODEL)


def dollars(bill: Bill, prices: PriceList = MINIMAX) -> float:
    """Return what a bill comes to by a price list."""
    return bill.n_voices * prices.voice + bill.n_chars * prices.million[tier(bill.model)] / 1e6


def estimate(bill: Bill, base_url: str) -> str:
    """Say before a paid click what it is likely to cost, and how much of that is known.

    Args:
        bill: what is to be paid for.
        base_url: of the service that will send the bill.
    """
    host = urlsplit(base_url).hostname or "the service"
    name = "Novita" if host.endswith("novita.ai") else host
    voices = f"{bill.n_voices} voice{'' if bill.n_voices == 1 else 's'}" if bill.n_voices else ""
    chars = f"{bill.n_chars:,} character{'' if bill.n_chars == 1 else 's'} of {tier(bill.model)} speech"
    what = " and ".join(part for part in (voices, chars if bill.n_chars else "") if part)
    cost = dollars(bill)
    amount = f"about ${cost:,.2f}" if cost >= 0.01 else "less than one cent"
    seen = f"{MINIMAX.seen.day} {MINIMAX.seen:%B %Y}"
    return (
        f"You pay {name} for {what}. What {name} charges is not known here; {MINIMAX.seller} itself would charge "
        f"{amount} (source: {MINIMAX.source}, as of {seen}). No promise."
    )
