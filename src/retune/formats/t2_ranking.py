"""Format `t2_ranking`: the tab-separated files of THUIR/T2Ranking.

`raw` is a folder with collection.tsv, queries.{train,dev}.tsv and, for each of these splits or one of them,
qrels.retrieval.{split}.tsv (binary) or qrels.{split}.tsv (four grades, 1 the lowest that counts as relevant). Quotes
are ordinary characters, and a passage may hold tabs. A query's id has its split before it (`dev-7`), because every
file of queries numbers its own; those of test have no judgments.
"""

from collections.abc import Iterator
from pathlib import Path

from retune.core.errors import InputError
from retune.core.records import SPLITS
from retune.params.convert import Convert
from retune.reading.raw_files import split_file
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record
from retune.reading.tables import read_qrels, read_tsv


class Params(Convert):
    """Adds which judgments are read."""

    graded: bool  # qrels.{split}.tsv, 0 to 3, instead of qrels.retrieval.{split}.tsv, all 1


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the folder `raw`."""
    pattern = "qrels.{split}.tsv" if params.graded else "qrels.retrieval.{split}.tsv"
    qrels = {split: split_file(raw, split, pattern) for split in SPLITS}
    if not any(qrels.values()):
        expected = " or ".join(pattern.format(split=split) for split in ("train", "dev"))
        raise InputError(f"{raw}: expected {expected}, found neither; put it there, or change graded")
    for where, (doc_id, passage) in read_tsv(
        raw / "collection.tsv", ["pid", "passage"], header="required", tabs_in_last=True
    ):
        if passage and not passage.isspace():
            yield Document(doc_id, None, passage, where)
        else:
            yield Dropped("passage without text")
    for split, path in qrels.items():
        judged: set[str] = set()
        for where, query_id, doc_id, relevance in read_qrels(path) if path else ():
            judged.add(query_id)
            yield Judgment(f"{split}-{query_id}", doc_id, relevance, where)
        queries = raw / f"queries.{split}.tsv"
        if path or queries.exists():
            yield from _queries(queries, split, judged)


def _queries(path: Path, split: str, judged: set[str]) -> Iterator[Record]:
    for where, (query_id, text) in read_tsv(path, ["qid", "query"], header="required", tabs_in_last=True):
        if query_id in judged:
            yield Query(f"{split}-{query_id}", text, where, split)
        else:
            yield Dropped("query without judgments")
