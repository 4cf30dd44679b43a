"""What a click may cost."""

from __future__ import annotations

import pytest

from clone.contract.cloning import MODELS, CloneOptions, check_text, tier
from clone.hosted.pricing import KEEP_BILL, KEEP_MODEL, KEEP_TEXT, Bill, clone_bill, dollars, estimate

NOVITA = "https://api.novita.ai"


@pytest.mark.parametrize("model", MODELS)
def test_a_voice_and_its_preview(model: str) -> None:
    bill = clone_bill(CloneOptions(text="a" * 1000, model=model))
    assert dollars(bill) == pytest.approx(1.5 + (0.1 if tier(model) == "hd" else 0.06))


def test_without_a_preview_there_is_only_the_voice() -> None:
    assert dollars(clone_bill(CloneOptions())) == 1.5
    assert "for 1 voice." in estimate(clone_bill(CloneOptions()), NOVITA)


def test_what_is_not_known_is_said_with_source_and_date() -> None:
    said = estimate(Bill(1, 1234, "speech-2.8-hd"), NOVITA)
    assert "1 voice and 1,234 characters of hd speech" in said
    assert "Novita names about $1.50 for that voice (source: Novita's public price list" in said
    assert "as of November 2026" in said
    assert "What Novita charges for its speech is not known here; MiniMax itself would charge about $0.12" in said
    assert "source: MiniMax" in said
    assert "as of 22 November 2026" in said
    assert "not known" not in estimate(Bill(1), NOVITA)


def test_another_service_is_not_called_novita() -> None:
    said = estimate(Bill(1), "https://timbre.example:8443")
    assert "You pay timbre.example" in said
    assert "charges for it is not known" in said
    assert "price list of audio models" not in said


def test_to_keep_a_voice_takes_the_shortest_text_that_counts() -> None:
    assert check_text(KEEP_TEXT)
    assert tier(KEEP_MODEL) == "turbo"
    assert "less than one cent" in estimate(KEEP_BILL, NOVITA)
