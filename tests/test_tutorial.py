"""The tutorial: its commands run in a clone of the repository and print what the page shows."""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.repository import REPOSITORY, clone, link_environment, succeed

PAGE = (REPOSITORY / "docs/tutorial.md").read_text(encoding="utf-8")
MOST_LINES = 20  # that a data set of one's own costs in params.yaml
CURSOR = re.compile(r"\x1b\[[A-Z]")  # moves between the bars of training and encoding
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


def blocks() -> list[tuple[str, str]]:
    """Return the kind and the text of each block of code."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def lines_of(output: str) -> list[str]:
    """Return lines with text, a progress bar's states each as one, and every number as #."""
    lines = (" ".join(line.split()) for line in re.split(r"[\r\n]+", CURSOR.sub("", output)))
    return [NUMBER.sub("#", line) for line in lines if line]


def first_unseen(shown: str, output: str) -> str | None:
    """Return the first line shown that the output lacks at its place, or None; `...` stands for anything."""
    left, may_skip = iter(lines_of(output)), False
    for line in lines_of(shown):
        if line == "...":
            may_skip = True
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        candidates = left if may_skip else iter([next(left, "")])
        if not any(pattern.fullmatch(candidate) for candidate in candidates):
            return line
        may_skip = False
    return None


def edit_params(path: Path) -> None:
    """Do to params.yaml what the page says: delete the entries it names, and add its lines.

    Besides, `science` has fewer and shorter documents and is measured in a fast number format, which changes figures
    alone.
    """
    yaml = YAML()
    params = yaml.load(path)
    for section, name in re.findall(r"`(\w+)\.(\w+)`", PAGE[PAGE.index("Delete these entries") :].split("\n\n")[0]):
        del params[section][name]
    for section, entries in yaml.load(own_lines()).items():
        params[section].update(entries)
    params["convert"]["science"] |= {"max_documents": 900, "max_characters": 160}
    params["eval"]["dtype"] = "auto"
    yaml.dump(params, path)


def own_lines() -> str:
    """Return the lines that the page adds to params.yaml."""
    [text] = [text for kind, text in blocks() if kind == "yaml"]
    return text


def steps() -> Iterator[tuple[str, str]]:
    """Yield each command of the page, and the output that it shows."""
    kinds: list[tuple[str, str]] = [*blocks(), ("", "")]
    for (kind, text), (following, output) in pairwise(kinds):
        if kind == "bash":
            yield text, output if following == "text" else "..."
        elif kind == "yaml":
            yield "", ""


@pytest.fixture
def repository(tmp_path: Path, server: Path) -> Path:
    """A committed clone in which make has nothing to set up."""
    folder = tmp_path / "clone"
    clone(folder)
    succeed("git add -A && git commit -qm start", folder)
    link_environment(folder, server)
    return folder


def test_data_set_of_ones_own_costs_few_lines() -> None:
    default: dict[str, Any] = YAML(typ="safe").load(REPOSITORY / "params.yaml")
    added = [line for line in own_lines().splitlines() if line.removesuffix(":") not in default]
    assert len(added) <= MOST_LINES


def test_output_is_compared_line_by_line() -> None:
    output = "a 1\n\n  b 2.5\rc +3 d\n"
    assert first_unseen("a 7\nb 8\nc 1 d\n", output) is None
    assert first_unseen("...\nc ... d", output) is None
    assert first_unseen("b 8", output) == "b #"
    assert first_unseen("step 3", "\x1b[Astep 6") is None
    assert first_unseen("...\nd", output) == "d"


@pytest.mark.slow
@pytest.mark.usefixtures("forks")
def test_every_command_of_the_page_prints_what_it_shows(repository: Path, tmp_path: Path) -> None:
    cache = os.fspath(tmp_path / "cache")
    for command, shown in steps():
        if not command:
            edit_params(repository / "params.yaml")
            continue
        (tmp_path / "step.sh").write_text(command)
        # a make that `make test` started would say which folders it enters
        step = f"env -u MAKELEVEL -u MAKEFLAGS bash -e {tmp_path / 'step.sh'} 2>&1"
        output = succeed(step, repository, RETUNE_CACHE=cache)
        assert first_unseen(shown, output) is None, f"{command}\n{output[-3000:]}"
