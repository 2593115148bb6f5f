"""Section `export.<model>`: a model in another format, as it is deployed."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from retune.core.section import Name, Section

Cosine = Annotated[float, Field(ge=-1.0, le=1.0)]
FLOATS = ("float32", "float16", "bfloat16")
DTYPES = {"safetensors": FLOATS, "onnx": ("float32", "int8"), "static": FLOATS}


class Parity(Section):
    """How near the vectors of the export must be to those of the model."""

    texts: PositiveInt  # number of texts compared
    least: Cosine  # of all texts
    median: Cosine


class Export(Section):
    """A model to write in another format, and what it must keep."""

    OF_ONE_ENTRY = frozenset({"model", "dataset"})

    model: Name
    dataset: Name  # whose documents, and dev and test queries, are the texts compared
    format: Literal["safetensors", "onnx", "static"]  # static: distilled to a table of token vectors
    dtype: Literal["float32", "float16", "bfloat16", "int8"]
    dims: PositiveInt | None = None  # keep this many first dimensions of each vector, scaled to length 1; null: all
    parity: Parity | None  # null: none, of a static model alone, as its vectors are in another space
    max_mb: PositiveFloat | None = None  # of all files together; null: any

    @model_validator(mode="after")
    def _format_has_the_dtype(self) -> Self:
        known = DTYPES[self.format]
        if self.dtype not in known:
            raise ValueError(f"dtype: expected one of {', '.join(known)} with format {self.format}, got {self.dtype!r}")
        return self

    @model_validator(mode="after")
    def _parity_suits_the_format(self) -> Self:
        if self.format == "static" and self.parity is not None:
            raise ValueError(
                "parity: expected null with format static, whose vectors are in another space than its model's; "
                "write parity: null, and let the verdict decide"
            )
        if self.format != "static" and self.parity is None:
            raise ValueError(f"parity: expected limits with format {self.format}, got null; remove it or write them")
        return self
