"""How the nearest documents are found: exactly, or by a faiss index that may miss some."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from retune.core.section import Section, Share


class Torch(Section):
    """Exact search in blocks, on the CPU or the GPU."""

    backend: Literal["torch"]


class Flat(Section):
    """Exact search by faiss."""

    backend: Literal["faiss_flat"]


class InvertedLists(Section):
    """Approximate search (IVF) in the lists of documents whose centres are closest to the query."""

    backend: Literal["faiss_ivf"]
    lists: PositiveInt  # about four times the square root of the number of documents
    probes: PositiveInt  # lists searched per query
    min_recall: Share  # lowest share of the exact neighbours found, on a sample of queries; a lower one is an error


class Graph(Section):
    """Approximate search in a graph of neighbours (HNSW)."""

    backend: Literal["faiss_hnsw"]
    links: PositiveInt  # links per document; 32 is usual
    build_depth: PositiveInt  # candidates kept while building
    search_depth: PositiveInt  # candidates kept while searching; at least the number of neighbours to find
    min_recall: Share  # as above


Search = Annotated[Torch | Flat | InvertedLists | Graph, Field(discriminator="backend")]
