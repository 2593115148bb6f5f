"""Format `t2_reranking`: C-MTEB/T2Reranking, one .parquet or .jsonl file of `{query, positive, negative}`.

`positive` and `negative` are lists of texts and may be empty; rows without positives count as queries without a
relevant document. All queries are dev, the only published split; `assign_all_to` assigns them to another.
"""

from collections.abc import Iterator
from pathlib import Path

from retune.params.convert import Convert
from retune.reading.raw_files import one_file
from retune.reading.source_records import Query, Record, judge
from retune.reading.tables import read_rows
from retune.reading.values import columns_in, texts_in


class Params(Convert):
    """The parameters that all formats share."""


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of `raw`, a file or a folder with just one file."""
    for number, (where, row) in enumerate(read_rows(one_file(raw, ".parquet", ".jsonl")), start=1):
        columns_in(row, ["query", "positive", "negative"], where)
        yield Query(f"q{number}", row["query"], where, "dev")
        yield from judge(f"q{number}", texts_in(row["positive"], f"{where}: positive"), 1, where)
        yield from judge(f"q{number}", texts_in(row["negative"], f"{where}: negative"), 0, where)
