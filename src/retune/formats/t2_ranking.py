"""Format `t2_ranking`: the tab-separated files of THUIR/T2Ranking.

`raw` is a folder with collection.tsv, queries.{train,dev}.tsv and, for one or both of these splits, judgments in
qrels.retrieval.{split}.tsv (binary) or qrels.{split}.tsv (grades 0 to 3, relevant from 1). Quotes are ordinary
characters, and a passage may contain tabs. Query ids get their split as a prefix (`dev-7`), because every file of
queries has its own numbering. The test queries have no judgments.
"""

from collections.abc import Iterator
from pathlib import Path

from retune.core.errors import InputError
from retune.core.records import SPLITS
from retune.params.convert import Convert
from retune.reading.raw_files import plain_or_packed, split_file
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record
from retune.reading.tables import read_qrels, read_tsv


class Params(Convert):
    """The judgments to read."""

    graded: bool  # qrels.{split}.tsv with grades 0 to 3, instead of qrels.retrieval.{split}.tsv with 1 only


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the folder `raw`."""
    pattern = "qrels.{split}.tsv" if params.graded else "qrels.retrieval.{split}.tsv"
    qrels = {split: split_file(raw, split, pattern) for split in SPLITS}
    if not any(qrels.values()):
        expected = " or ".join(pattern.format(split=split) for split in ("train", "dev"))
        raise InputError(f"{raw}: expected {expected}, found neither; put it there, or change graded")
    for where, (doc_id, passage) in read_tsv(
        plain_or_packed(raw / "collection.tsv"), ["document id", "text"], header="required", tabs_in_last=True
    ):
        yield Document(doc_id, None, passage, where)
    for split, path in qrels.items():
        judged: set[str] = set()
        for where, query_id, doc_id, relevance in read_qrels(path) if path else ():
            judged.add(query_id)
            yield Judgment(f"{split}-{query_id}", doc_id, relevance, where)
        queries = plain_or_packed(raw / f"queries.{split}.tsv")
        if path or queries.exists():
            yield from _queries(queries, split, judged)


def _queries(path: Path, split: str, judged: set[str]) -> Iterator[Record]:
    for where, (query_id, text) in read_tsv(path, ["query id", "text"], header="required", tabs_in_last=True):
        if query_id in judged:
            yield Query(f"{split}-{query_id}", text, where, split)
        else:
            yield Dropped("query without judgments")
