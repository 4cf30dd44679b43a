"""What a paid request is likely to cost: characters and voices times a table. An estimate, never a promise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from clone.contract.cloning import MODELS, CloneOptions, Tier, tier

KEEP_TEXT = "Hi."
"""What is said to keep a hosted voice. Any speech counts, and it is paid by the character."""

KEEP_MODEL = next(name for name in reversed(MODELS) if tier(name) == "turbo")


@dataclass(frozen=True)
class PriceList:
    """Prices in US dollars: of one voice, and of a million characters by tier, where that is known; seen when."""

    seller: str
    voice: float
    million: dict[Tier, float]
    source: str
    seen: str

    @property
    def where(self) -> str:
        """Where it was seen, and when."""
        return f"(source: {self.source}, as of {self.seen})"


MINIMAX = PriceList(
    "MiniMax", 1.50, {"hd": 100.0, "turbo": 60.0}, "MiniMax's documentation of its prices", "22 November 2026"
)
"""Of MiniMax, whose models they are; a voice is charged when it first speaks."""

NOVITA = PriceList("Novita", 1.50, {}, "Novita's public price list of audio models", "November 2026")
"""Of the hosted service: it names a cloned voice, and not what these models' speech costs."""


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
    name = NOVITA.seller if host.endswith("novita.ai") else host
    voices = f"{bill.n_voices} voice{'' if bill.n_voices == 1 else 's'}" if bill.n_voices else ""
    chars = f"{bill.n_chars:,} character{'' if bill.n_chars == 1 else 's'} of {tier(bill.model)} speech"
    what = " and ".join(part for part in (voices, chars if bill.n_chars else "") if part)
    known, left = "", bill
    if name == NOVITA.seller and bill.n_voices:
        known = f" {name} names {_amount(bill.n_voices * NOVITA.voice)} for that voice {NOVITA.where}."
        left = replace(bill, n_voices=0)
    unknown = ""
    if left.n_voices or left.n_chars:
        rest = "its speech" if known else "it"
        unknown = (
            f" What {name} charges for {rest} is not known here; {MINIMAX.seller} itself would charge "
            f"{_amount(dollars(left))} {MINIMAX.where}."
        )
    return f"You pay {name} for {what}.{known}{unknown} No promise."


def _amount(cost: float) -> str:
    return f"about ${cost:,.2f}" if cost >= 0.01 else "less than one cent"
