"""Format `t2_reranking`: C-MTEB/T2Reranking, one .parquet or .jsonl file of `{query, positive, negative}`.

Both are lists of texts and may be empty; rows without a positive count as queries without a relevant document. All
queries are of the split dev, the only one published: `assign_all_to` puts them where they are wanted.
"""

from collections.abc import Iterator
from pathlib import Path

from retune.params.convert import Convert
from retune.reading.raw_files import one_file
from retune.reading.source_records import Query, Record, judge
from retune.reading.tables import read_rows
from retune.reading.values import columns_in, texts_in


class Params(Convert):
    """Adds nothing."""


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the one file in `raw`."""
    for number, (where, row) in enumerate(read_rows(one_file(raw, ".parquet", ".jsonl")), start=1):
        columns_in(row, ["query", "positive", "negative"], where)
        yield Query(f"q{number}", row["query"], where, "dev")
        yield from judge(f"q{number}", texts_in(row["positive"], f"{where}: positive"), 1, where)
        yield from judge(f"q{number}", texts_in(row["negative"], f"{where}: negative"), 0, where)
