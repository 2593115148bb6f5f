"""What models and data sets are made of, and under which licences: a file that goes with them from stage to stage."""

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
    """A model or a data set that came from elsewhere.

    Attributes:
        kind: Of the two.
        name: Its entry in params.yaml.
        licence: As its entry or its card says; empty if neither does.
        source: Where it comes from.
        use: What a data set may be used for, as in `convert.<name>.use`; empty of a model.
    """

    kind: Literal["data", "model"]
    name: str
    licence: str
    source: str
    use: str


def read_origins(folder: Path) -> list[Origin]:
    """Return what the model, data set or mined set in a folder is made of.

    Raises:
        InputError: Nothing sound is written there.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{path}: expected origins and licences, found no such file; run the stage that writes it")
    try:
        return [Origin(**each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: expected a list of origins, got: {error}; run the stage that writes it") from None


def write_origins(folder: Path, origins: Iterable[Origin]) -> None:
    """Write origins in order, each once."""
    write_json(folder / FILE, [asdict(each) for each in sorted(set(origins))])
