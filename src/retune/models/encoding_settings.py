"""How texts enter a model: the settings that every model directory keeps in retune.json."""

from typing import Literal

from pydantic import PositiveInt

from retune.core.section import Section


class Encoding(Section):
    """How texts become vectors; written into the model directory as retune.json."""

    query_prefix: str = ""  # before the text; a query's own prompt comes before it
    query_suffix: str = ""  # after the text; survives truncation
    document_prefix: str = ""
    query_max_length: PositiveInt  # tokens
    document_max_length: PositiveInt  # tokens
    pooling: Literal["as_saved", "mean", "cls", "lasttoken"]  # as_saved: the model folder says
    dtype: Literal["auto", "float32", "bfloat16", "float16"]  # of the vectors' computation
