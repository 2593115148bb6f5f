"""Origins and licences of models and data sets, in a file that each stage copies to its output."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from retune.core.errors import InputError
from retune.core.files import write_json

FILE = "provenance.json"


@dataclass(frozen=True, order=True)
class Origin:
    """A model or data set that came from outside the project, or queries that were made in it.

    Attributes:
        kind: Whether it is a data set, a model or the queries of a synthetic data set.
        name: Its entry in params.yaml.
        licence: The licence from its entry or its model card; empty if neither names one.
        source: Where it was obtained.
        use: What a data set may be used for (`convert.<name>.use`); empty for the others.
    """

    kind: Literal["data", "model", "synthetic queries"]
    name: str
    licence: str
    source: str
    use: str


def read_origins(folder: Path) -> list[Origin]:
    """Return the origins of the model, data set or mined set in a folder.

    Raises:
        InputError: The file is missing or malformed.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{path}: expected origins and licences, found no such file; run the stage that writes it")
    try:
        return [Origin(**fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: expected a list of origins, got: {error}; run the stage that writes it") from None


def write_origins(folder: Path, origins: Iterable[Origin]) -> None:
    """Write the origins, sorted and without repetitions."""
    write_json(folder / FILE, [asdict(origin) for origin in sorted(set(origins))])
