"""Format `mteb`: a retrieval task as MTEB stores it on the Hub, in Parquet or JSON lines.

`raw` is a folder with corpus/, queries/ (or query/), and judgments in default/, data/ or qrels/, or in files
`{split}-*.parquet` next to these folders. Each folder may also be a single file, such as corpus.jsonl. A task with
several subsets has `{subset}-corpus/` and so on. Documents are `{"_id" or "id", "text", "title"}`; queries are the
same and may have an `answer`; judgments are `{"query-id", "corpus-id", "score"}`. instruction/ has `{"query-id",
"instruction"}`; the instruction becomes the query's prompt. top_ranked/ is not read.

Queries and judgments may be missing. The name of a file of judgments, or of its folder, is a split, to which its
queries belong; a query with judgments in several splits belongs to the first.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from retune.core.errors import InputError
from retune.core.records import SPLITS
from retune.params.convert import Convert
from retune.reading.raw_files import SPLIT_NAMES, files_in, split_named
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record
from retune.reading.tables import read_rows
from retune.reading.values import columns_in, id_in, none_if_empty, optional_text_in

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz")


class Params(Convert):
    """The subset to read, and whether NanoBEIR's rules apply."""

    subset: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] | None = None  # the part of the folder names before -corpus
    nano_beir: bool  # the train judgments are the test split, every relevance is 1, empty texts are left out


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the folder `raw`."""
    prefix = f"{params.subset}-" if params.subset else ""
    for where, row in _rows(raw, f"{prefix}corpus"):
        if params.nano_beir and none_if_empty(row.get("text")) is None:
            yield Dropped("empty text")
        else:
            yield Document(_id(row), row.get("title"), row.get("text"), where)
    names = [f"{prefix}queries"] if prefix else ["queries", "query"]
    if prefix or _qrels_paths(raw, prefix) or any(map(_has_rows, _files(raw, *names))):
        splits: dict[str, str] = {}
        for path, split in _qrels_files(raw, prefix, nano_beir=params.nano_beir):
            yield from _judgments(path, split, splits, nano_beir=params.nano_beir)
        prompts: dict[str, str | None] = {}
        for path in _files(raw, f"{prefix}instruction"):
            yield from _instructions(path, prompts)
        yield from _queries(_rows(raw, *names), splits, prompts, nano_beir=params.nano_beir)


def _queries(
    rows: Iterable[tuple[str, dict[str, Any]]],
    splits: dict[str, str],
    prompts: dict[str, str | None],
    *,
    nano_beir: bool,
) -> Iterator[Record]:
    unused = set(prompts)
    for where, row in rows:
        query_id = id_in(row, "_id" if "_id" in row else "id", where)
        unused.discard(query_id)
        if nano_beir and none_if_empty(row.get("text")) is None:
            yield Dropped("empty text")
        elif query_id not in splits:
            yield Dropped("query without judgments")
        else:
            prompt, answer = prompts.get(query_id), row.get("answer")
            yield Query(query_id, row.get("text"), where, splits[query_id], prompt, answer)
    yield Dropped("instruction of an unknown query", len(unused))


def _instructions(path: Path, prompts: dict[str, str | None]) -> Iterator[Record]:
    """Add the prompt of each query to `prompts`; the first one counts."""
    for where, row in read_rows(path):
        query_id, prompt = id_in(row, "query-id", where), optional_text_in(row, "instruction", where)
        if query_id in prompts:
            yield Dropped("instruction of a query that has one")
        else:
            prompts[query_id] = prompt


def _judgments(path: Path, split: str, splits: dict[str, str], *, nano_beir: bool) -> Iterator[Record]:
    """Yield the judgments of a file, and add the split of each query that has none yet to `splits`."""
    for where, row in read_rows(path):
        columns_in(row, ["query-id", "corpus-id"], where)
        query_id = id_in(row, "query-id", where)
        if splits.setdefault(query_id, split) != split:
            yield Dropped("judgment in a second split")
            continue
        score: Any = 1 if nano_beir else row.get("score")
        is_whole = isinstance(score, float) and score.is_integer()  # many tasks store grades as floats
        yield Judgment(query_id, row["corpus-id"], int(score) if is_whole else score, where)


def _id(row: dict[str, Any]) -> Any:
    return row["_id"] if "_id" in row else row.get("id")


def _rows(raw: Path, *names: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of the first of these configurations that exists."""
    files = _files(raw, *names)
    if not files:
        expected = f"{' or '.join(names)} as a folder or file of .parquet or .jsonl"
        raise InputError(f"{raw}: expected {expected}, found none; put it there, or check subset")
    for path in files:
        yield from read_rows(path)


def _files(raw: Path, *names: str) -> list[Path]:
    """Return the files of the first of these configurations that exists: those in its folder, or a single file."""
    for name in names:
        single = [raw / f"{name}{suffix}" for suffix in SUFFIXES]
        if found := files_in(raw / name, *SUFFIXES) or [path for path in single if path.is_file()]:
            return found
    return []


def _qrels_files(raw: Path, prefix: str, *, nano_beir: bool) -> list[tuple[Path, str]]:
    """Return the files of judgments and their splits, train first."""
    found = _qrels_paths(raw, prefix)
    if not found:
        names = f"{prefix}qrels" if prefix else "default, data, qrels or files such as test-0.parquet"
        raise InputError(f"{raw}: expected judgments in {names}, found none; put them there, or check subset")
    files = []
    for path in found:
        split = _split(path, raw)
        if split is None:
            raise InputError(f"{path}: expected a name that begins with {', '.join(SPLIT_NAMES)}; rename it")
        files.append((path, "test" if nano_beir and split == "train" else split))
    return sorted(files, key=lambda file: SPLITS.index(file[1]))


def _qrels_paths(raw: Path, prefix: str) -> list[Path]:
    """Return the files of judgments: those in their folder, or those in `raw` that are named after a split."""
    if found := _files(raw, f"{prefix}qrels") if prefix else _files(raw, "default", "data", "qrels"):
        return found
    return [path for path in files_in(raw, *SUFFIXES) if not prefix and path.parent == raw and _split(path, raw)]


def _has_rows(path: Path) -> bool:
    return path.stat().st_size > 0 and next(read_rows(path), None) is not None


def _split(path: Path, raw: Path) -> str | None:
    """Return the split that begins the name of a file, or else the name of its folder."""
    names = (re.split(r"[-.]", part)[0] for part in reversed(path.relative_to(raw).parts))
    return next(filter(None, map(split_named, names)), None)
