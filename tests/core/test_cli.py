"""The signature of a script's `main` defines its arguments."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from retune.core.cli import run


def main(
    name: str, *, out: Path = Path("out"), try_: Sequence[str] = (), num_rows: str = "", quiet: bool = False
) -> None:
    given.append((name, out, list(try_), num_rows, quiet))


given: list[tuple[object, ...]] = []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("x", ("x", Path("out"), [], "", False)),
        ("x --quiet --out a/b --num-rows 3", ("x", Path("a/b"), [], "3", True)),
        ("--try a=1,2 x --try b=3", ("x", Path("out"), ["a=1,2", "b=3"], "", False)),
    ],
)
def test_arguments_are_those_of_the_signature(
    arguments: str, expected: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    given.clear()
    monkeypatch.setattr(sys, "argv", ["script", *arguments.split()])
    run(main)
    run(main)  # repeated values are not kept between calls
    assert given == [expected, expected]


def test_flag_takes_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script", "x", "--quiet", "yes"])
    with pytest.raises(SystemExit):
        run(main)
