"""How nearest documents are found: exactly, or by an index of faiss that may miss some."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from retune.core.section import Section, Share


class Torch(Section):
    """Exact, block by block, on the CPU or the GPU."""

    backend: Literal["torch"]


class Flat(Section):
    """Exact, with faiss."""

    backend: Literal["faiss_flat"]


class InvertedLists(Section):
    """Looks into the lists of documents whose centres are closest to the query."""

    backend: Literal["faiss_ivf"]
    lists: PositiveInt  # about four times the square root of the number of documents
    probes: PositiveInt  # lists looked into for a query
    min_recall: Share  # of the exact neighbours, on a sample of queries; fewer is an error


class Graph(Section):
    """Walks a graph of near neighbours (HNSW)."""

    backend: Literal["faiss_hnsw"]
    links: PositiveInt  # of a document to others; 32 is usual
    build_depth: PositiveInt  # candidates kept while building
    search_depth: PositiveInt  # candidates kept while searching, at least the number of neighbours wanted
    min_recall: Share


Search = Annotated[Torch | Flat | InvertedLists | Graph, Field(discriminator="backend")]
