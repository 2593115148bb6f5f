"""Section `fetch.<model>`: where a base model comes from and how it reads texts."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from retune.core.errors import ParameterError
from retune.core.section import Section
from retune.models.encoding_settings import Encoding
from retune.params.llm import Remote

SOURCES = ("package", "hub", "path", "bm25", "vectors", "endpoint")


class Fetch(Encoding):
    """One base model. `source` decides which is set beside `path`: `package`, or `repo` and `revision`."""

    OF_ONE_ENTRY = frozenset({"source", "package", "repo", "revision", "path", "sha256"})

    source: Literal["package", "hub", "path"]
    package: str | None = None
    repo: str | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    path: str | None = None  # the model folder; with another source, any file: dvc.yaml needs one in every entry
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None  # of model.safetensors; may be null with hub

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        wanted = {"package": {"package"}, "hub": {"repo", "revision"}, "path": {"path"}}[self.source]
        names = ("package", "repo", "revision", *(["path"] if self.source == "path" else []))
        given = {name for name in names if getattr(self, name) is not None}
        if given != wanted:
            raise ValueError(f"expected {_names(wanted)} with source {self.source!r}, got {_names(given)}")
        if self.sha256 is None and self.source != "hub":
            raise ValueError(
                f"sha256: expected the hash of model.safetensors, as source {self.source!r} pins no version, got null"
            )
        return self


class Lexical(Section):
    """BM25, which ranks by the words that query and document share; it cannot be tuned, only compared with."""

    source: Literal["bm25"]
    path: str | None = None  # as in other entries


class Vectors(Section):
    """A table of vectors, such as those of a model behind an API: a teacher to learn from, not a model to use."""

    source: Literal["vectors"]
    path: str | None = None  # a Parquet file with role (query or document), text and vector
    licence: str  # of the vectors: some providers forbid to train on them


class Endpoint(Remote):
    """A model behind an OpenAI-compatible server of embeddings: a row of the matrix, which cannot be tuned."""

    source: Literal["endpoint"]
    path: str | None = None  # as in other entries
    url: Annotated[str, Field(pattern=r"^https?://")]  # usually ends in /v1
    key_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None  # of the environment; null: no key
    query_prefix: str = ""
    document_prefix: str = ""
    query_options: dict[str, Any] = {}  # sent with requests of queries, such as {input_type: query}
    document_options: dict[str, Any] = {}
    dimensions: PositiveInt | None = None  # to ask for; null: all
    texts_per_request: PositiveInt

    @model_validator(mode="after")
    def _options_leave_texts_and_model(self) -> Self:
        for name in ("query_options", "document_options"):
            if taken := {"model", "input", "encoding_format", "dimensions"} & set(getattr(self, name)):
                raise ValueError(f"{name}: expected other fields, got {min(taken)}, which is sent already; remove it")
        return self


Entry = Fetch | Lexical | Vectors | Endpoint


def parse_entry(key: str, value: object, defaults: Mapping[str, Any] | None = None) -> Entry:
    """Check an entry read from `key`; its source decides which parameters it has, and only models have defaults."""
    source = value.get("source", "package") if isinstance(value, Mapping) else "package"
    if source not in SOURCES:
        raise ParameterError([f"{key}.source: expected one of {', '.join(SOURCES)}, got {source!r}"])
    if source == "vectors":
        return Vectors.parse(key, value)
    if source == "endpoint":
        return Endpoint.parse(key, value)
    return Lexical.parse(key, value) if source == "bm25" else Fetch.parse(key, value, defaults)


def _names(fields: set[str]) -> str:
    return " and ".join(sorted(fields)) or "none"
