"""Convert a source to a clean data set: remove duplicates, merge queries, split, check for leaks, count."""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

import retune.formats
from retune.core.errors import InputError, ParameterError
from retune.core.files import atomic_directory
from retune.core.provenance import Origin, write_origins
from retune.core.records import SPLITS, Split, write_splits, write_table
from retune.core.section import read_defaults, read_value
from retune.core.tracked import require_pulled
from retune.datasets.cleaning import QUERY_COLUMNS, QuerySet, clean, merge_queries
from retune.datasets.corpus_writer import CorpusWriter
from retune.datasets.hub_pins import local_raw
from retune.datasets.icl_examples import add_examples
from retune.datasets.leaks import find_leaks
from retune.datasets.splitting import assign_splits
from retune.datasets.statistics import describe, lengths
from retune.params.convert import Convert
from retune.reading.source_records import (
    Document,
    Dropped,
    Judgment,
    Query,
    Record,
    check_record,
    check_same_query,
    fault,
    is_blank,
    tidied,
)

QUERIES_ONLY = {"queries"}  # read by `predict` only


def formats() -> list[str]:
    """Return the names of all formats."""
    return sorted({module.name for module in pkgutil.iter_modules(retune.formats.__path__)} - QUERIES_ONLY)


def params_of(name: str) -> type[Convert]:
    """Return the parameters of a format."""
    params: type[Convert] = importlib.import_module(f"retune.formats.{name}").Params
    return params


def read_params(key: str) -> Convert:
    """Return a `convert` entry, checked by the `Params` of its format."""
    return parse_params(key, read_value(key), read_defaults(key))


def parse_params(key: str, value: Any, defaults: Mapping[str, Any] | None = None) -> Convert:
    """Check a `convert` entry read from `key`; its format determines which parameters exist."""
    if not isinstance(value, Mapping):
        return Convert.parse(key, value)
    name = value.get("format")
    if name not in formats():
        raise ParameterError([f"{key}.format: expected one of {', '.join(formats())}, got {name!r}"])
    return params_of(name).parse(key, value, defaults)


def convert(params: Convert, raw: Path, out: Path, *, seed: int, where: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """Convert the source `raw` to a data set in the folder `out`; return statistics and lengths.

    The corpus is streamed to its file, while queries and judgments are kept in memory. Besides the splits,
    leaks.parquet is written: the leaks found between train and the other splits. A source without queries gives empty
    splits.

    Raises:
        InputError: The input is missing or invalid, or there are leaks and the policy is `fail`. Nothing is written.
    """
    require_pulled(raw)
    if not raw.exists():
        raise InputError(f"{raw}: expected a file or folder, found nothing; put the data there ({where}.raw)")
    with atomic_directory(out) as partial:
        corpus = CorpusWriter(partial / "corpus.parquet")
        try:
            query_set = _read(params, raw, corpus)
        finally:
            corpus.close()
        if params.merge_queries is True:
            query_set = merge_queries(query_set)
        entry = f"params.yaml: {where}"
        assigned = assign_splits(query_set.queries, query_set.qrels, params, seed=seed, where=entry)
        _check_use(params, assigned, where=f"{entry}.use")
        query_set = replace(query_set, queries=query_set.queries.assign(split=assigned))
        query_set, leaks = _handle_leaks(query_set, params, where=f"{entry}.leaks")
        queries, examples = add_examples(query_set.queries, seed=seed)
        query_set = replace(query_set, queries=queries)
        splits = {name: _split(query_set, name) for name in SPLITS}
        write_splits(partial, splits)
        write_table(partial / "leaks.parquet", leaks)
        write_origins(partial, [Origin("data", out.name, params.licence, params.origin, params.use)])
    statistics = describe(splits, corpus.words, corpus.characters, corpus.sample, query_set.dropped)
    found = leaks["kind"].value_counts().to_dict()
    statistics["leaks"] = {"policy": params.leaks.policy, "train_queries": leaks["train_query_id"].nunique(), **found}
    statistics |= {"examples": examples} if examples else {}
    statistics["provenance"] = {"licence": params.licence, "source": params.origin, "use": params.use}
    return statistics, lengths(splits, corpus.words, corpus.characters)


def _read(params: Convert, raw: Path, corpus: CorpusWriter) -> QuerySet:
    """Write the source's documents to the corpus; return its queries and judgments, cleaned."""
    reader = importlib.import_module(f"retune.formats.{params.format}")
    try:
        with local_raw(raw) as folder:
            query_set = _gather(reader.read(folder, params), corpus, params)
    except OSError as error:
        raise InputError(f"{error.filename or raw}: expected a readable file, got: {error.strerror or error}") from None
    return clean(query_set, corpus, max_unusable=params.max_unusable, raw=raw)


def _gather(records: Iterable[Record], corpus: CorpusWriter, params: Convert) -> QuerySet:
    """Write each document to the corpus as it is read, and collect queries and judgments."""
    queries = _UniqueQueries(keep_first=params.merge_queries == "keep_first")
    without_text = {Document: _WithoutText("document", "documents"), Query: _WithoutText("query", "queries")}
    judgments: list[Judgment] = []
    dropped: Counter[str] = Counter()
    for raw_record in tqdm(records, desc="convert", unit="record", disable=None):
        if isinstance(raw_record, Dropped):
            dropped[raw_record.reason] += raw_record.number
            continue
        record = tidied(raw_record)
        check_record(record, needs_text=False)
        if isinstance(record, Judgment):
            judgments.append(record)
        elif isinstance(record, Document) and record.query_id in queries.repeated:
            continue
        elif without_text[type(record)].includes(record):
            dropped[f"{without_text[type(record)].kind} without text"] += 1
        elif isinstance(record, Document):
            corpus.add(record)
        else:
            split = params.assign_all_to or record.split
            queries.add(record._replace(split=split, prompt=record.prompt or None, answer=record.answer or None))
    for kind in without_text.values():
        kind.refuse_above(params.max_unusable)
    dropped["query repeated"] += len(queries.repeated)
    dropped["query given again"] += queries.given_again
    frame = pd.DataFrame(queries.kept.values(), columns=Query._fields)[QUERY_COLUMNS]
    frame["group"] = frame["group"].fillna(frame["query_id"])
    judgments = [judgment for judgment in judgments if judgment.query_id not in queries.repeated]
    qrels = pd.DataFrame(judgments, columns=Judgment._fields).astype({"score": float})
    return QuerySet(frame, qrels, dropped)


class _WithoutText:
    """The documents, or the queries, that have no text: their number, and what is wrong with the first of them."""

    def __init__(self, kind: str, kinds: str) -> None:
        self.kind, self._kinds = kind, kinds
        self._found = self._total = 0
        self._first = ""

    def includes(self, record: Document | Query) -> bool:
        """Return whether a record has no text, and count it."""
        self._total += 1
        if not is_blank(record.text):
            return False
        self._found += 1
        self._first = self._first or fault(record)
        return True

    def refuse_above(self, share: float) -> None:
        """Raise an InputError if more than a share of the records, or all of them, have no text."""
        if self._found > share * self._total or 0 < self._found == self._total:
            raise InputError(
                f"{self._first}; {self._found} of {self._total} {self._kinds} have no text, and max_unusable allows "
                f"{share:.2%}: fix the data or raise max_unusable"
            )


class _UniqueQueries:
    """Queries by id, each once; with `keep_first`, only the first of equal queries, and the ids of the others."""

    def __init__(self, *, keep_first: bool) -> None:
        self.kept: dict[str, Query] = {}
        self.repeated: dict[str, Query] = {}
        self.given_again = 0
        self._keep_first = keep_first
        self._seen: set[tuple[str, str | None, str]] = set()

    def add(self, query: Query) -> None:
        if known := self.kept.get(query.query_id) or self.repeated.get(query.query_id):
            check_same_query(known, query)
            self.given_again += 1
            return
        key = (query.split, query.prompt, query.text)
        if self._keep_first and key in self._seen:
            self.repeated[query.query_id] = query
        else:
            self.kept[query.query_id] = query
        self._seen.add(key)


def _check_use(params: Convert, splits: pd.Series, *, where: str) -> None:
    num_train = int((splits == "train").sum())
    if params.use == "evaluation_only" and num_train:
        raise InputError(
            f"{where}: evaluation_only: expected no train queries, got {num_train}; "
            "write assign_all_to: test (or dev), or use: training_against_licence"
        )


def _handle_leaks(query_set: QuerySet, params: Convert, *, where: str) -> tuple[QuerySet, pd.DataFrame]:
    """Look for leaks between train and the other splits, and apply the policy."""
    policy = params.leaks
    leaks = find_leaks(query_set.queries, near_duplicate=policy.near_duplicate, min_words=policy.min_words)
    if leaks.empty or policy.policy == "report":
        return query_set, leaks
    if policy.policy == "fail":
        kinds = ", ".join(f"{count} {kind}" for kind, count in leaks["kind"].value_counts().items())
        first = f"train {leaks['train_query_id'][0]!r} and {leaks['split'][0]} {leaks['query_id'][0]!r}"
        raise InputError(
            f"{where}: expected no train query that leaks a dev or test query, got {kinds}, first {first}; "
            "fix the data, or write policy: drop or report"
        )
    query_set = query_set.without(query_set.queries["query_id"].isin(leaks["train_query_id"]), "train query that leaks")
    if not (query_set.queries["split"] == "train").any():
        raise InputError(f"{where}: policy drop leaves no train query; fix the data, or write policy: report")
    return query_set, leaks


def _split(query_set: QuerySet, name: str) -> Split:
    queries = query_set.queries[query_set.queries["split"] == name]
    qrels = query_set.qrels[query_set.qrels["query_id"].isin(queries["query_id"])]
    return Split(queries, qrels, qrels[qrels["score"].notna()])
