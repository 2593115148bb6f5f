"""A synthetic query before the filters: its document, its kind and its text."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

REJECTED_COLUMNS = ["doc_id", "kind", "text", "reason"]


class Draft(NamedTuple):
    """A query and the document that answers it, or the two that do so together.

    Attributes:
        kind: Which kind of query it is, a key of `kinds` in params.yaml.
        answer: An answer written along with the query, if there is one.
        second_doc_id: The other document, if the query needs two.
        is_removed: Whether the query's words were removed from its document.
    """

    doc_id: str
    kind: str
    text: str
    answer: str | None = None
    second_doc_id: str | None = None
    is_removed: bool = False

    @property
    def doc_ids(self) -> list[str]:
        """The documents that answer the query."""
        return [doc_id for doc_id in (self.doc_id, self.second_doc_id) if doc_id is not None]


class Rejected(NamedTuple):
    """A query, or a text that could have become one, and why it was left out."""

    doc_id: str
    kind: str
    text: str
    reason: str


class Drafts(NamedTuple):
    """What a method made of a corpus.

    Attributes:
        queries: The drafts, in the order of their documents.
        rejected: Texts that the method itself left out.
        corpus: The documents, which may lack what became a query.
    """

    queries: Sequence[Draft]
    rejected: Sequence[Rejected]
    corpus: pd.DataFrame
