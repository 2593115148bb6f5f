"""Format `flagembedding`: JSON lines as FlagEmbedding uses them for training and evaluation.

For training data, `raw` is a file of rows `{"query", "pos", "neg"}` or a folder of such files. A file named after a
split (train, dev or validation, test) contains that split, any other .jsonl file contains train queries.

- `pos` and `neg` are a text or a list of texts. The older `{"query", "positive"}` works as well.
- `pos_scores`, `neg_scores` and `prompt` are optional, and so are `query_id`, `pos_ids`, `neg_ids`, `pos_relevance`
  and `answer`, which our export adds. `type` and `category`, by which trainers build batches, are not used.
- corpus.jsonl in the folder contains more documents, `{"text"}` or `{"content"}` with an optional `id`. An optional
  `title` is put before the text, as it is in `pos` and `neg`.

For evaluation data, `raw` is a folder with corpus.jsonl (`{"id", "title", "text"}`), `{split}_queries.jsonl` (`{"id",
"text"}`) and `{split}_qrels.jsonl` (`{"qid", "docid", "relevance"}`).
"""

from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.lines import read_json_lines
from retune.reading.raw_files import SPLIT_NAMES, files_in, plain_or_packed, split_named, split_of
from retune.reading.source_records import Document, Judgment, Query, Record, is_blank, judge, judge_ids, text_id
from retune.reading.values import columns_in, numbers_in, optional_text_in, texts_in

QRELS = "_qrels.jsonl"


class Params(Convert):
    """The parameters that all formats share."""


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file or folder `raw`."""
    if raw.is_dir() and (names := _split_names(raw)):
        yield from _evaluation(raw, names)
        return
    files = files_in(raw, ".jsonl", ".jsonl.gz")
    corpora = [path for path in files if path.name.split(".")[0] == "corpus" and path != raw]
    queries = [path for path in files if path not in corpora]
    if not files:
        raise InputError(f"{raw}: expected .jsonl files, found none; put them there")
    for path in corpora:  # first, because the first id of a text is the one kept
        for where, row in read_json_lines(path):
            yield _document(row, where)
    for path in queries:
        stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
        prefix = f"{(path.relative_to(raw).parent / stem).as_posix()}-" if len(queries) > 1 else ""
        split = "train" if path == raw else split_of(path) or "train"
        for number, (where, row) in enumerate(read_json_lines(path), start=1):
            yield from _row(row, f"{prefix}q{number}", split, where)


def _split_names(raw: Path) -> list[str]:
    """Return what comes before `_qrels.jsonl` in the names of files."""
    names = {path.name.removesuffix(".gz") for path in raw.iterdir()}
    return sorted(name.removesuffix(QRELS) for name in names if name.endswith(QRELS))


def _document(row: dict[str, Any], where: str) -> Document:
    key = "content" if "content" in row else "text"
    columns_in(row, [key], where)
    title, text = optional_text_in(row, "title", where), row[key]
    if title is not None and not is_blank(title):
        text = title if is_blank(text) else f"{title} {text}" if isinstance(text, str) else text
    return Document(row.get("id", text_id(text)), None, text, where)


def _row(row: dict[str, Any], name: str, split: str, where: str) -> Iterator[Record]:
    """Yield the query of a row, its positives and its negatives."""
    positive = "positive" if "positive" in row else "pos"
    columns_in(row, ["query", positive], where)
    query_id = row.get("query_id", name)
    yield Query(query_id, row["query"], where, split, row.get("prompt"), row.get("answer"))
    grades = iter(_grades(row, where))
    for record in _documents(row, positive, query_id, 1, where):
        yield record._replace(relevance=next(grades)) if isinstance(record, Judgment) else record
    yield from _documents(row, "neg", query_id, 0, where)


def _documents(row: dict[str, Any], key: str, query_id: str, relevance: int, where: str) -> Iterator[Record]:
    place = f"{where}: {key}"
    texts = texts_in(row.get(key), place)
    scores = numbers_in(row.get(f"{key}_scores"), f"{place}_scores")
    if (ids := row.get(f"{key}_ids")) is None:
        yield from judge(query_id, texts, relevance, place, scores)
    else:
        yield from judge_ids(query_id, texts_in(ids, f"{place}_ids"), texts, relevance, place, scores)


def _grades(row: dict[str, Any], where: str) -> Iterable[int]:
    """Return the relevance of each positive, which is 1 unless the row has `pos_relevance`."""
    grades = row.get("pos_relevance")
    if grades is None:
        return repeat(1)
    num_texts = len(texts_in(row.get("pos"), f"{where}: pos"))
    if not isinstance(grades, list) or len(grades) != num_texts:
        raise InputError(
            f"{where}: pos_relevance: expected a relevance for each of {num_texts} texts, got {grades!r:.80}"
        )
    return grades


def _evaluation(raw: Path, names: list[str]) -> Iterator[Record]:
    """Yield the records of evaluation data."""
    if unknown := [name for name in names if split_named(name) is None]:
        raise InputError(f"{raw}: expected splits named {', '.join(SPLIT_NAMES)}, found {unknown[0]}{QRELS}")
    for where, row in read_json_lines(plain_or_packed(raw / "corpus.jsonl")):
        columns_in(row, ["id", "text"], where)
        yield Document(row["id"], row.get("title"), row["text"], where)
    for name in sorted(names, key=lambda name: list(SPLIT_NAMES).index(name.lower())):
        for where, row in read_json_lines(plain_or_packed(raw / f"{name}_queries.jsonl")):
            columns_in(row, ["id", "text"], where)
            yield Query(row["id"], row["text"], where, split_named(name) or name)
        for where, row in read_json_lines(plain_or_packed(raw / f"{name}{QRELS}")):
            columns_in(row, ["qid", "docid", "relevance"], where)
            yield Judgment(row["qid"], row["docid"], row["relevance"], where)
