"""What to sweep over, as given on the command line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retune.core.errors import InputError

SECTION = "finetune"


@dataclass(frozen=True)
class Folders:
    """Where a sweep reads and writes.

    Attributes:
        models: `<model>/`, the bases and guides.
        datasets: `<dataset>/`, of which corpus and dev split are read.
        mined: `<recipe>/`.
        trainings: `<model>/`, what was trained so far; Git ignores it.
        reports: `sweeps/<model>.md` and `learning_curves/<model>.md`, with a chart beside each.
    """

    models: Path
    datasets: Path
    mined: Path
    trainings: Path
    reports: Path


@dataclass(frozen=True)
class Request:
    """The arguments of the command; an empty one was not given.

    Attributes:
        entry: `finetune.<model>`.
        grid: Parameters to try, each as `name=value,value`.
        labels: Shares of the training queries for a learning curve, such as `0.1,0.3,1`.
        random: How many configurations of the grid to draw.
        minutes: After how many minutes no further training starts.
    """

    entry: str
    grid: Sequence[str] = ()
    labels: str = ""
    random: str = ""
    minutes: str = ""

    def check(self) -> None:
        """Check what can be checked without the project.

        Raises:
            InputError: Both a grid and labels were given, or neither; or the entry is of another section.
        """
        section, dot, model = self.entry.partition(".")
        if section != SECTION or not dot or not model:
            raise InputError(f"sweep: expected {SECTION}.<model>, got {self.entry!r}")
        if bool(self.grid) == bool(self.labels):
            got = "both" if self.grid else "neither"
            raise InputError(
                f"sweep: expected either --try or --labels, got {got}; write for example --try learning_rate=2e-5,5e-5"
            )
        if self.random and not self.grid:
            raise InputError("--random: expected with --try only, which it draws from, got --labels; remove it")

    @property
    def model(self) -> str:
        """Return the model's name."""
        return self.entry.partition(".")[2]

    @property
    def seconds(self) -> float:
        """Return the budget in seconds; infinite if there is none.

        Raises:
            InputError: It is no number above 0.
        """
        if not self.minutes:
            return math.inf
        try:
            minutes = float(self.minutes)
        except ValueError:
            minutes = 0.0
        if not 0.0 < minutes < math.inf:
            raise InputError(f"--minutes: expected a number above 0, got {self.minutes!r}")
        return 60.0 * minutes

    def arguments(self) -> list[str]:
        """Return the command line that makes this request."""
        options = {"--labels": self.labels, "--random": self.random, "--minutes": self.minutes}
        given = [part for name, value in options.items() if value for part in (name, value)]
        return [self.entry, *(part for setting in self.grid for part in ("--try", setting)), *given]

    def report(self, folders: Folders) -> Path:
        """Return the report's file."""
        return folders.reports / ("learning_curves" if self.labels else "sweeps") / f"{self.model}.md"
