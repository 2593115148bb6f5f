"""Format `infgrad`: infgrad/retrieval_data_llm; each row is a query, one positive and one hard negative.

`raw` is the published zip, a folder that contains just this zip, or the unpacked JSON (an array or lines). Queries
have no ids, and some repeat: `merge_queries: keep_first` leaves out a query's later rows and their documents, as the
format's reference code does; `merge_queries: true` gives the query the documents of all its rows.
"""

from collections.abc import Iterator
from pathlib import Path

from retune.params.convert import Convert
from retune.reading.raw_files import one_file
from retune.reading.source_records import Query, Record, judge
from retune.reading.tables import read_array_or_lines
from retune.reading.values import columns_in

QUERY, POSITIVE, NEGATIVE = "Query", "Positive Document", "Hard Negative Document"


class Params(Convert):
    """The parameters that all formats share."""


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of `raw`, a zip or JSON file or a folder with just one."""
    rows = read_array_or_lines(one_file(raw, ".zip", ".json", ".jsonl"))
    for number, (where, row) in enumerate(rows, start=1):
        columns_in(row, [QUERY, POSITIVE, NEGATIVE], where)
        yield Query(f"q{number}", row[QUERY], where)
        yield from judge(f"q{number}", [row[POSITIVE]], 1, where)
        yield from judge(f"q{number}", [row[NEGATIVE]], 0, where)
