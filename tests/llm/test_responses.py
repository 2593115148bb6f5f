"""How long a server asks to wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from retune.llm.responses import retry_after_s


@pytest.mark.parametrize(("value", "seconds"), [("0", 0.0), ("7", 7.0), (" 1.5 ", 1.5)])
def test_seconds_are_read(value: str, seconds: float) -> None:
    assert retry_after_s(value) == seconds


def test_date_is_read_and_a_past_one_is_now() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    assert retry_after_s(format_datetime(soon, usegmt=True)) == pytest.approx(90, abs=2)
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "Wed, 99 Oct 2015"])
def test_nonsense_is_ignored(value: str) -> None:
    assert retry_after_s(value) is None
