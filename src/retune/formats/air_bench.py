"""Format `air_bench`: one data set of AIR-Bench, for evaluation.

`raw` is a folder with corpus.jsonl, dev_queries.jsonl and dev_qrels.jsonl, which is in a separate repository; or the
corresponding files of test. Documents and queries are `{"id", "text"}`; judgments are `{"qid", "docid", "relevance"}`,
where relevance 0 marks a hard negative. There is no train split: `assign_all_to: test` evaluates on the dev queries.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import field_validator

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.lines import read_json_lines
from retune.reading.raw_files import plain_or_packed, split_file
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record
from retune.reading.values import id_in

PUBLISHED = ("dev", "test")


class Params(Convert):
    """The parameters that all formats share; `use` must comply with the licence."""

    @field_validator("use")
    @classmethod
    def _use_is_licensed(cls, use: str) -> str:
        if use == "any":
            raise ValueError(
                "expected evaluation_only or training_against_licence, got 'any'; AIR-Bench is licensed for "
                "evaluation only (CC BY-NC-SA 4.0)"
            )
        return use


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the folder `raw`."""
    qrels = {split: split_file(raw, split, "{split}_qrels.jsonl") for split in PUBLISHED}
    if not any(qrels.values()):
        raise InputError(f"{raw}: expected dev_qrels.jsonl, found none; copy it from the qrels repository of the set")
    for where, row in read_json_lines(plain_or_packed(raw / "corpus.jsonl")):
        yield Document(row.get("id"), row.get("title"), row.get("text"), where)
    for split, path in qrels.items():
        judged: set[str] = set()
        for where, row in read_json_lines(path) if path else ():
            judged.add(query_id := id_in(row, "qid", where))
            yield Judgment(query_id, row.get("docid"), row.get("relevance"), where)
        queries = plain_or_packed(raw / f"{split}_queries.jsonl")
        if path or queries.exists():
            yield from _queries(queries, split, judged)


def _queries(path: Path, split: str, judged: set[str]) -> Iterator[Record]:
    """Yield the queries that have judgments; those of the test queries are not published."""
    for where, row in read_json_lines(path):
        if (query_id := id_in(row, "id", where)) in judged:
            yield Query(query_id, row.get("text"), where, split)
        else:
            yield Dropped("query without judgments")
