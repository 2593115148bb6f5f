"""Model directories of endpoints: settings and a probe instead of weights."""

import json
from pathlib import Path
from typing import Any

ENDPOINT = "endpoint.json"  # of such a directory
# parameters that do not decide the vectors
FREE = {"source", "path", "key_variable", "timeout_s", "total_timeout_s", "prices", "budget", "texts_per_request"}


def is_endpoint(folder: Path) -> bool:
    """Return whether a model is asked over HTTP."""
    return (folder / ENDPOINT).is_file()


def read_endpoint(folder: Path) -> dict[str, Any]:
    """Return the entry of `fetch` that a directory was made of, and `probe`, the vectors of some texts by role."""
    content: dict[str, Any] = json.loads((folder / ENDPOINT).read_text(encoding="utf-8"))
    return content


def vectors_of_endpoint(folder: Path) -> dict[str, Any]:
    """Return what decides the vectors of an endpoint."""
    content = read_endpoint(folder)
    return content | {"entry": {name: value for name, value in content["entry"].items() if name not in FREE}}
