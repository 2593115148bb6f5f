"""Format `infgrad`: rows of infgrad/retrieval_data_llm, a query with one positive and one hard negative.

`raw` is the published zip, a folder that holds just it, or the JSON unpacked from it, an array or lines. Queries
without ids repeat; `merge_queries: keep_first` leaves the later rows of a query out, with their documents, as the
reference for this format does, and `true` gives the query the documents of all its rows.
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
    """Adds nothing."""


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the one zip or JSON file in `raw`."""
    rows = read_array_or_lines(one_file(raw, ".zip", ".json", ".jsonl"))
    for number, (where, row) in enumerate(rows, start=1):
        columns_in(row, [QUERY, POSITIVE, NEGATIVE], where)
        yield Query(f"q{number}", row[QUERY], where)
        yield from judge(f"q{number}", [row[POSITIVE]], 1, where)
        yield from judge(f"q{number}", [row[NEGATIVE]], 0, where)
