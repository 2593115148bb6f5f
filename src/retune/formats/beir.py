r"""Format `beir`: a folder with corpus.jsonl, queries.jsonl and qrels/{train,dev,test}.tsv, plain or as .gz.

Documents are `{"_id", "title", "text"}`, queries are `{"_id", "text"}`, qrels are `query-id\tcorpus-id\tscore`. A
query belongs to the first split whose qrels name it. Its `metadata` may contain `prompt` and `answer`. Queries and
judgments may be missing.
"""

from collections.abc import Iterator
from pathlib import Path

from retune.core.errors import InputError
from retune.core.records import SPLITS
from retune.params.convert import Convert
from retune.reading.lines import read_json_lines
from retune.reading.raw_files import plain_or_packed, split_file
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record
from retune.reading.tables import read_qrels
from retune.reading.values import id_in, object_in


class Params(Convert):
    """The parameters that all formats share."""


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the folder `raw`."""
    for where, row in read_json_lines(plain_or_packed(raw / "corpus.jsonl")):
        yield Document(row.get("_id"), row.get("title"), row.get("text"), where)
    files = {split: split_file(raw / "qrels", split, "{split}.tsv") for split in SPLITS}
    queries = plain_or_packed(raw / "queries.jsonl")
    if not any(files.values()):
        if not queries.exists() or queries.stat().st_size == 0:
            return
        raise InputError(f"{raw / 'qrels'}: expected train.tsv, dev.tsv or test.tsv, found none")
    splits: dict[str, str] = {}
    for split, path in files.items():
        if path:
            yield from _judgments(path, split, splits)
    for where, row in read_json_lines(queries):
        extra = object_in(row, "metadata", where)
        query_id = id_in(row, "_id", where)
        if query_id in splits:
            split = splits[query_id]
            yield Query(query_id, row.get("text"), where, split, extra.get("prompt"), extra.get("answer"))
        else:
            yield Dropped("query without judgments")


def _judgments(path: Path, split: str, splits: dict[str, str]) -> Iterator[Record]:
    """Yield the judgments of a file, and add the split of each query that has none yet to `splits`."""
    for where, query_id, doc_id, relevance in read_qrels(path):
        if splits.setdefault(query_id, split) == split:
            yield Judgment(query_id, doc_id, relevance, where)
        else:
            yield Dropped("judgment in a second split")
