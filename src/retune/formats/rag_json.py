"""Format `rag_json`: one JSON file with queries, corpus and judgments.

The file has the keys `queries` and `corpus`, which map ids to texts, and `relevant_docs`, which maps query ids to
lists of document ids. Optional keys are `negative_docs`, which lists the documents judged irrelevant in the same form;
`reference_answers`, which maps query ids to texts; and `queries_split`, which maps train, val (validation, dev) and
test to lists of query ids. Queries outside `queries_split` are train queries.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.id_maps import ids_in, load, mapping, read_content
from retune.reading.raw_files import SPLIT_NAMES, one_file, split_named
from retune.reading.source_records import Dropped, Record


class Params(Convert):
    """The split of the file's `val` queries, on which the format's reference code evaluates."""

    val_is_test: bool  # val queries form the test split instead of dev


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file `raw`."""
    path = one_file(raw, ".json")
    content = load(path)
    splits = _splits(content, path, val_is_test=params.val_is_test)
    yield from read_content(content, path, splits)
    queries, answers = mapping(content, "queries", path), mapping(content, "reference_answers", path)
    yield Dropped("unknown query in queries_split", len(splits.keys() - queries.keys()))
    yield Dropped("unknown query in reference_answers", len(answers.keys() - queries.keys()))


def _splits(content: dict[str, Any], path: Path, *, val_is_test: bool) -> dict[str, str]:
    splits: dict[str, str] = {}
    for name, query_ids in mapping(content, "queries_split", path).items():
        split = split_named(name)
        if split is None:
            raise InputError(f"{path}: queries_split: expected {', '.join(SPLIT_NAMES)}, got {name!r:.80}")
        if val_is_test and name.lower().startswith("val"):
            split = "test"
        for query_id in ids_in(query_ids, f"{path}: queries_split.{name}"):
            if splits.setdefault(query_id, split) != split:
                raise InputError(f"{path}: queries_split: expected {query_id!r:.80} in one split, got it in two")
    return splits
