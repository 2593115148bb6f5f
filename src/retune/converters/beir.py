r"""Format `beir`: a folder with corpus.jsonl, queries.jsonl and qrels/{train,dev,test}.tsv.

Documents are `{"_id", "title", "text"}`, queries `{"_id", "text"}`, qrels `query-id\tcorpus-id\tscore`. A query
belongs to the split whose qrels name it, to the first if several do. `metadata` of a query may hold `prompt` and
`answer`.
"""

from collections.abc import Iterator
from pathlib import Path

from retune.errors import InputError
from retune.params.convert import Convert
from retune.reading import read_json_lines, read_qrels, split_file, text_in
from retune.records import SPLITS
from retune.source import Document, Dropped, Judgment, Query, Record, title_and_text


class Params(Convert):
    """Adds nothing."""


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the folder `raw`."""
    for where, row in read_json_lines(raw / "corpus.jsonl"):
        yield Document(row.get("_id"), *title_and_text(row), where)
    files = {split: split_file(raw / "qrels", split, "{split}.tsv") for split in SPLITS}
    if not any(files.values()):
        raise InputError(f"{raw / 'qrels'}: expected train.tsv, dev.tsv or test.tsv, found none")
    splits: dict[str, str] = {}
    for split, path in files.items():
        for where, query_id, doc_id, relevance in read_qrels(path) if path else ():
            if splits.setdefault(query_id, split) == split:
                yield Judgment(query_id, doc_id, relevance, where)
            else:
                yield Dropped("judgment in a second split")
    for where, row in read_json_lines(raw / "queries.jsonl"):
        extra = row.get("metadata") or {}
        query_id = text_in(row, "_id", where)
        if query_id in splits:
            split = splits[query_id]
            yield Query(query_id, row.get("text"), where, split, extra.get("prompt"), extra.get("answer"))
        else:
            yield Dropped("query without judgments")
