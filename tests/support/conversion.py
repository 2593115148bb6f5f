"""Convert hand-made files with the parameters that all formats share."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from retune.core import records
from retune.datasets.convert import convert, parse_params
from tests.support.parameters import CONVERT


class Converted(NamedTuple):
    """A data set read back, with its statistics."""

    corpus: pd.DataFrame
    splits: dict[str, records.Split]
    statistics: dict[str, Any]

    def texts(self) -> dict[str, str]:
        """Return each document's text by id."""
        return dict(zip(self.corpus["doc_id"], self.corpus["text"], strict=True))

    def queries(self, split: str = "train") -> dict[str, str]:
        """Return a split's texts by id."""
        table = self.splits[split].queries
        return dict(zip(table["query_id"], table["text"], strict=True))

    def judged(self, split: str = "train") -> set[tuple[str, str, int]]:
        """Return a split's judgments as (query text, document text, relevance)."""
        queries, texts = self.queries(split), self.texts()
        rows = self.splits[split].qrels.itertuples(index=False)
        return {(queries[row.query_id], texts[row.doc_id], row.relevance) for row in rows}

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return queries and judgments of each split that has any."""
        return {name: (len(part.queries), len(part.qrels)) for name, part in self.splits.items() if len(part.queries)}


def convert_raw(raw: Path, out: Path, format_name: str, /, **values: Any) -> Converted:
    """Convert `raw` into `out` and read the result back; `values` replace or add parameters."""
    params = parse_params("convert.x", CONVERT | {"format": format_name} | values)
    statistics, _ = convert(params, raw, out, seed=13, where="convert.x")
    splits = {name: records.read_split(out, name) for name in records.SPLITS}
    return Converted(records.read_corpus(out), splits, statistics)
