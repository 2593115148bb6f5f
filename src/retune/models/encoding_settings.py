"""How a model reads texts: the settings in the retune.json of every model directory."""

from typing import Literal

from pydantic import PositiveInt

from retune.core.section import Dtype, Section

Role = Literal["queries", "documents"]
Pooling = Literal["as_saved", "mean", "cls", "lasttoken"]


class Encoding(Section):
    """How texts become vectors; written to the model directory as retune.json."""

    query_prefix: str = ""  # before the text; the prompt of a query, if it has one, comes before this prefix
    query_suffix: str = ""  # after the text; never truncated
    document_prefix: str = ""
    query_max_length: PositiveInt  # tokens
    document_max_length: PositiveInt  # tokens
    pooling: Pooling  # as_saved: as configured in the model folder
    dtype: Dtype  # in which vectors are computed
