"""One tree; what each error says and what it is to each edge."""

from __future__ import annotations

import inspect

import pytest

from clone.core import errors
from clone.core.errors import BusyError, PromptMismatch, Refused, TimbreError, VoiceError

EVERY = [error for _, error in inspect.getmembers(errors, inspect.isclass) if error.__module__ == errors.__name__]


def test_the_tree_is_one_and_public() -> None:
    assert all(issubclass(error, TimbreError) for error in EVERY)
    named = [name for name in errors.__all__ if name[0].isupper()]
    assert sorted(error.__name__ for error in EVERY) == named


@pytest.mark.parametrize("error", EVERY)
def test_every_error_has_a_reason_and_a_status(error: type[TimbreError]) -> None:
    assert error.reason == error.reason.upper()
    assert 400 <= error.status <= 599


@pytest.mark.parametrize("error", [e for e in EVERY if issubclass(e, Refused)])
def test_a_refusal_is_the_askers_to_mend(error: type[TimbreError]) -> None:
    assert error.status < 500
    assert issubclass(error, ValueError)


def test_what_an_error_carries() -> None:
    error = TimbreError("It is 3; at most 2.", code="many", field="text", measured=3, limit=2, advice="Take one away.")
    assert str(error) == "It is 3; at most 2. Take one away."
    assert (error.message, error.code, error.field) == ("It is 3; at most 2.", "many", "text")
    assert (error.measured, error.limit, error.advice) == (3, 2, "Take one away.")
    assert str(TimbreError("Failed.")) == "Failed."


def test_codes_of_the_hosted_service() -> None:
    assert PromptMismatch("x").service_code == 1044
    assert VoiceError("x").service_code == 2054


def test_busy_says_when_to_come_back() -> None:
    assert BusyError("x").retry_after_s > 0
    assert BusyError("x", retry_after_s=60, code="full").retry_after_s == 60
