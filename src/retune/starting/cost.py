"""About how many seconds a stage takes on this machine: counts of tokens, and the rate of its kind of processor."""

from collections.abc import Mapping
from dataclasses import dataclass

MINILM_PARAMETERS = 11_000_000  # without its token vectors
AMX, BFLOAT16, FLOAT32, FLOAT32_NARROW = 23_000.0, 7_000.0, 6_500.0, 3_500.0
"""Tokens that MiniLM encodes in a second on one core: with AMX, with AVX512-BF16, in float32, without AVX512 too. The
first three follow from docs/performance.md, the last is an estimate."""

GPU = 200_000.0  # an estimate
TRAINING_FACTOR = 4.0  # a token trained, beside a token encoded
QUERY_TOKENS, DOCUMENT_TOKENS = 64, 128  # windows, where the base has none
UNSPACED = {"zh", "ja", "th", "km", "lo", "my"}
CHARACTERS_PER_TOKEN = 4.0  # of languages with spaces between words


@dataclass(frozen=True)
class Rate:
    """Tokens that the machine encodes in a second with a model of MiniLM's size.

    Attributes:
        fast: In the number format of mining and training.
        exact: In that of evaluation, float32.
        description: The machine, in words.
    """

    fast: float
    exact: float
    description: str


@dataclass(frozen=True)
class Size:
    """How large a data set is.

    Attributes:
        documents: Number of documents.
        document_tokens: Tokens of a document, up to the model's window.
        queries: Number of queries by split.
        query_tokens: Tokens of a query.
    """

    documents: float
    document_tokens: float
    queries: Mapping[str, float]
    query_tokens: float

    @property
    def records(self) -> float:
        """Return the number of documents and queries."""
        return self.documents + sum(self.queries.values())

    def encoding(self, split: str) -> float:
        """Return the tokens of the documents and of a split's queries."""
        return self.documents * self.document_tokens + self.queries.get(split, 0) * self.query_tokens


def size_of(
    documents: float, characters: float, queries: Mapping[str, float], query_characters: float, language: str
) -> Size:
    """Return a size, from characters of texts."""
    per_token = 1.2 if language in UNSPACED else CHARACTERS_PER_TOKEN
    return Size(
        documents,
        min(DOCUMENT_TOKENS, characters / per_token + 2),
        queries,
        min(QUERY_TOKENS, query_characters / per_token + 2),
    )


def training_tokens(size: Size, *, epochs: int, hard_negatives: int) -> float:
    """Return the tokens of all epochs: each query with a positive and its hard negatives."""
    group = size.query_tokens + (1 + hard_negatives) * size.document_tokens
    return epochs * size.queries.get("train", 0) * group


def rate_of(device: str) -> Rate:
    """Return the rate of this machine: that of a core of its kind times its threads, or that of a GPU."""
    import torch

    from retune.encoding.hardware import describe_device, resolve_device, resolve_dtype

    place = resolve_device(device)
    name = str(resolve_dtype("auto", place)).removeprefix("torch.")
    if place.type != "cpu":
        return Rate(GPU, GPU, f"{describe_device(place)}, {name}")
    exact = FLOAT32 if "AVX512" in torch.backends.cpu.get_cpu_capability() else FLOAT32_NARROW
    fast = exact if name == "float32" else AMX if torch.cpu._is_amx_tile_supported() else BFLOAT16
    threads = torch.get_num_threads()
    return Rate(fast * threads, exact * threads, f"{describe_device(place)}, {name}")
