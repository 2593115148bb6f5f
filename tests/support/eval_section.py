"""How models are measured in tests: the part of `eval` that a cell depends on."""

from typing import Any

MEASURING: dict[str, Any] = {
    "ks": [1, 3],
    "dims": None,
    "search": {"backend": "torch"},
    "exclude_same_id": False,
    "judged_only": [],
}
