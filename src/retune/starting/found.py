"""What was found out about the format of some data."""

from dataclasses import dataclass, field
from typing import Any

BY_HAND = "write the entry by hand (docs/convert.md#formats)"


@dataclass(frozen=True)
class Found:
    """The format of some data.

    Attributes:
        format: A format of `convert`.
        reason: Why, as a sentence that begins with "it".
        params: The parameters of this format.
        shared: Parameters that all formats share and this one needs, such as `split_by`.
    """

    format: str
    reason: str
    params: dict[str, Any] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
