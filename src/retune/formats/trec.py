r"""Format `trec`: separate files of documents, queries and judgments (qrels), as in TREC and MS MARCO.

Documents and queries are TSV (`id\ttext`, or for documents `id\ttitle\ttext`; a header is optional) or JSON lines
(`id` or `_id`, `title`, `text` or `contents`). Qrels have 2, 3 or 4 columns. Run files (`query Q0 document rank score
tag`) can provide negatives: the highest-ranked documents without a judgment. All paths are relative to the folder
`raw`.
"""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from retune.core.errors import InputError
from retune.core.section import RawPath, Section
from retune.params.convert import Convert
from retune.reading.headers import Kind
from retune.reading.lines import read_json_lines, read_lines
from retune.reading.raw_files import plain_or_packed
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record
from retune.reading.tables import read_qrels, read_tsv
from retune.reading.values import columns_in, id_in, number_in

RUN_FIELDS = 6


def _is_inside(path: str) -> str:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError(f"expected a path inside the folder raw, got {path!r}")
    return path


Inside = Annotated[RawPath, AfterValidator(_is_inside)]
"""A file inside the folder `raw`; DVC tracks no other files."""


class SplitFiles(Section):
    """The files of one split; several splits may share a file of queries."""

    queries: Inside
    qrels: Inside


class Params(Convert):
    """The files to read, and how many documents of each run become negatives."""

    documents: Annotated[list[Inside], Field(min_length=1)]  # all are read, in this order
    splits: Annotated[dict[Literal["train", "dev", "test"], SplitFiles], Field(min_length=1)]
    runs: list[Inside] = []
    run_depth: PositiveInt | None = None  # highest-scored documents of each query to use; null without runs

    @model_validator(mode="after")
    def _runs_have_a_depth(self) -> Self:
        if bool(self.runs) != (self.run_depth is not None):
            raise ValueError("run_depth: expected a number with runs and null without, got the opposite")
        return self


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the files in `raw`; a query with judgments in several splits belongs to the first."""
    for name in params.documents:
        for where, doc_id, title, text in _texts(plain_or_packed(raw / name), titles=True):
            yield Document(doc_id, title, text, where)
    splits: dict[str, str] = {}
    judged: set[tuple[str, str]] = set()
    for record in _judgments(raw, params, splits):
        if params.runs and isinstance(record, Judgment):
            judged.add((record.query_id, record.doc_id))
        yield record
    for name in dict.fromkeys(files.queries for files in params.splits.values()):
        yield from _queries(plain_or_packed(raw / name), splits)
    for name in params.runs:
        yield from _unjudged(plain_or_packed(raw / name), params.run_depth or 0, splits, judged)


def _judgments(raw: Path, params: Params, splits: dict[str, str]) -> Iterator[Record]:
    """Yield the judgments of all qrels files, and add each query's split to `splits`."""
    for split, files in params.splits.items():
        for where, query_id, doc_id, relevance in read_qrels(plain_or_packed(raw / files.qrels)):
            if splits.setdefault(query_id, split) == split:
                yield Judgment(query_id, doc_id, relevance, where)
            else:
                yield Dropped("judgment in a second split")


def _queries(path: Path, splits: dict[str, str]) -> Iterator[Record]:
    for where, query_id, _, text in _texts(path, titles=False):
        if query_id in splits:
            yield Query(query_id, text, where, splits[query_id])
        else:
            yield Dropped("query without judgments")


def _texts(path: Path, *, titles: bool) -> Iterator[tuple[str, str, str | None, str]]:
    """Yield the place, id, title and text of each document or query; documents may have titles."""
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        for where, row in read_json_lines(path):
            text = "contents" if "contents" in row else "text"
            columns_in(row, [text], where)
            doc_id = id_in(row, "_id" if "_id" in row else "id", where)
            yield where, doc_id, row.get("title"), row[text]
        return
    first = next((line for _, line in read_lines(path)), "")
    columns: list[Kind] = ["id", "title", "text"] if titles and first.count("\t") == 2 else ["id", "text"]
    for where, fields in read_tsv(path, columns, header="optional"):
        yield where, fields[0], fields[1] if len(fields) == 3 else None, fields[-1]


def _unjudged(path: Path, depth: int, splits: dict[str, str], judged: set[tuple[str, str]]) -> Iterator[Record]:
    """Yield the highest-ranked documents of a run that have no judgment, as irrelevant ones."""
    best: dict[str, list[tuple[float, int, str]]] = {}  # by query: score, negated line number, document
    unknown = 0
    for number, query_id, doc_id, score in _run_lines(path):
        if query_id not in splits:
            unknown += 1
            continue
        ranked = best.setdefault(query_id, [])
        heapq.heappush(ranked, (number_in(score, f"{path}:{number}"), -number, doc_id))
        if len(ranked) > depth:
            heapq.heappop(ranked)
    yield Dropped("run's document for a query without judgments", unknown)
    for query_id, ranked in best.items():
        for _, negated_line, doc_id in sorted(ranked, reverse=True):
            if (query_id, doc_id) not in judged:
                yield Judgment(query_id, doc_id, 0, f"{path}:{-negated_line}")


def _run_lines(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Yield the line number, query id, document id and score of each line of a run, which has no header."""
    for position, (number, line) in enumerate(read_lines(path)):
        fields = line.split()
        if len(fields) != RUN_FIELDS:
            raise InputError(f"{path}:{number}: expected {RUN_FIELDS} fields of a run, got {len(fields)}")
        query_id, _, doc_id, rank, score, _ = fields
        if position == 0 and not any(char.isdigit() for char in rank + score):
            names = "query_id Q0 doc_id rank score tag"
            raise InputError(f"{path}:{number}: expected {names} without a header, got {line!r:.80}; remove the line")
        yield number, query_id, doc_id, score
