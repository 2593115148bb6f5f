"""The size of each export and its cosines with its model, as the stage `export` wrote them.

dvc.yaml has no dep on these files, as there is no folder of them without an export. What changes them changes scores or
parameters, on which `compare` depends.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retune.comparison.lineage import TunedModel
from retune.core.errors import InputError


def read_exports(folder: Path, tuned_models: Mapping[str, TunedModel]) -> dict[str, dict[str, Any]]:
    """Read `<model>.json` of every export.

    Raises:
        InputError: A file is missing.
    """
    exports = {}
    for name, tuned in tuned_models.items():
        if tuned.is_export:
            path = folder / f"{name}.json"
            if not path.is_file():
                raise InputError(f"{path}: expected the parity of {name}, found none; run dvc repro export@{name}")
            exports[name] = json.loads(path.read_text(encoding="utf-8"))
    return exports
