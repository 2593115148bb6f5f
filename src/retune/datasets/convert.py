"""Turn a source into a clean data set with its statistics: deduplicated, merged, split, guarded, counted."""

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
from retune.core.errors import InputError
from retune.core.files import atomic_directory
from retune.core.provenance import Origin, write_origins
from retune.core.records import SPLITS, Split, write_splits, write_table
from retune.core.section import read_defaults, read_value
from retune.datasets.cleaning import QUERY_COLUMNS, JudgedQueries, clean, merge_queries
from retune.datasets.corpus_writer import CorpusWriter
from retune.datasets.hub_pins import local_raw
from retune.datasets.icl_examples import add_examples
from retune.datasets.leaks import find_leaks
from retune.datasets.splitting import assign_splits
from retune.datasets.statistics import describe, lengths
from retune.params.convert import Convert
from retune.reading.source_records import Dropped, Judgment, Query, Record, check_record

QUERIES_ONLY = {"queries"}  # what `predict` alone reads


def formats() -> list[str]:
    """Return the names of all formats."""
    return sorted({module.name for module in pkgutil.iter_modules(retune.formats.__path__)} - QUERIES_ONLY)


def read_params(key: str) -> Convert:
    """Return a `convert` entry, checked by its format's own `Params`."""
    return parse_params(key, read_value(key), read_defaults(key))


def parse_params(key: str, value: Any, defaults: Mapping[str, Any] | None = None) -> Convert:
    """Check a `convert` entry read from `key`; the format named in it says which parameters there are."""
    name = value.get("format") if isinstance(value, dict) else None
    if name not in formats():
        raise InputError(f"params.yaml: {key}.format: expected one of {', '.join(formats())}, got {name!r}")
    params: Convert = importlib.import_module(f"retune.formats.{name}").Params.parse(key, value, defaults)
    return params


def convert(params: Convert, raw: Path, out: Path, *, seed: int, where: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """Write the data set that `raw` holds in its format to the folder `out`; return statistics and lengths.

    The corpus streams to its file; queries and judgments are held in memory. Beside the splits stands
    leaks.parquet, the pairs that the leak guard found. A source without queries gives empty splits.

    Raises:
        InputError: The input is missing or wrong, or the guard's policy is `fail`; the message says where.
            Nothing is written then.
    """
    if not raw.exists():
        raise InputError(f"{raw}: expected a file or folder, found nothing; put the data there ({where}.raw)")
    with atomic_directory(out) as partial:
        corpus = CorpusWriter(partial / "corpus.parquet")
        try:
            judged = _read(params, raw, corpus)
        finally:
            corpus.close()
        if params.merge_queries is True:
            judged = merge_queries(judged)
        assigned = assign_splits(judged.queries, judged.qrels, params, seed=seed, where=f"params.yaml: {where}")
        _check_use(params, assigned, where=f"params.yaml: {where}.use")
        judged = replace(judged, queries=judged.queries.assign(split=assigned))
        judged, leaks = _guard(judged, params, where=f"params.yaml: {where}.leaks")
        queries, examples = add_examples(judged.queries, seed=seed)
        judged = replace(judged, queries=queries)
        splits = {name: _split(judged, name) for name in SPLITS}
        write_splits(partial, splits)
        write_table(partial / "leaks.parquet", leaks)
        write_origins(partial, [Origin("data", out.name, params.licence, params.origin, params.use)])
    statistics = describe(splits, corpus.words, corpus.characters, corpus.sample, judged.dropped)
    found = leaks["kind"].value_counts().to_dict()
    statistics["leaks"] = {"policy": params.leaks.policy, "train_queries": leaks["train_query_id"].nunique(), **found}
    statistics |= {"examples": examples} if examples else {}
    statistics["provenance"] = {"licence": params.licence, "source": params.origin, "use": params.use}
    return statistics, lengths(splits, corpus.words, corpus.characters)


def _read(params: Convert, raw: Path, corpus: CorpusWriter) -> JudgedQueries:
    """Write the source's documents to the corpus and return what can be used of the rest."""
    converter = importlib.import_module(f"retune.formats.{params.format}")
    try:
        with local_raw(raw) as folder:
            judged = _gather(converter.read(folder, params), corpus, params)
    except OSError as error:
        raise InputError(f"{error.filename or raw}: expected a readable file, got: {error.strerror or error}") from None
    return clean(judged, corpus, max_unusable=params.max_unusable, raw=raw)


def _gather(records: Iterable[Record], corpus: CorpusWriter, params: Convert) -> JudgedQueries:
    """Write the documents that stream by to the corpus, and collect the rest."""
    queries = _Queries(keep_first=params.merge_queries == "keep_first")
    judgments: list[Judgment] = []
    dropped: Counter[str] = Counter()
    for record in tqdm(records, desc="convert", unit="record", disable=None):
        if isinstance(record, Dropped):
            dropped[record.reason] += record.number
            continue
        check_record(record)
        if isinstance(record, Query):
            split = params.assign_all_to or record.split
            queries.add(record._replace(split=split, prompt=record.prompt or None, answer=record.answer or None))
        elif isinstance(record, Judgment):
            judgments.append(record)
        elif record.query_id not in queries.repeated:
            corpus.add(record)
    dropped["query repeated"] += len(queries.repeated)
    frame = pd.DataFrame(queries.kept.values(), columns=Query._fields)[QUERY_COLUMNS]
    frame["group"] = frame["group"].fillna(frame["query_id"])
    judgments = [judgment for judgment in judgments if judgment.query_id not in queries.repeated]
    qrels = pd.DataFrame(judgments, columns=Judgment._fields).astype({"score": float})
    return JudgedQueries(frame, qrels, dropped)


class _Queries:
    """Queries by id; where only the first of equal ones is kept, the ids of the others."""

    def __init__(self, *, keep_first: bool) -> None:
        self.kept: dict[str, Query] = {}
        self.repeated: set[str] = set()
        self._keep_first = keep_first
        self._seen: set[tuple[str, str | None, str]] = set()

    def add(self, query: Query) -> None:
        if query.query_id in self.kept or query.query_id in self.repeated:
            known = self.kept.get(query.query_id)
            place = f", at {known.where}" if known else ""
            raise InputError(f"{query.where}: query_id {query.query_id!r:.80}: given before{place}")
        key = (query.split, query.prompt, query.text)
        if self._keep_first and key in self._seen:
            self.repeated.add(query.query_id)
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


def _guard(judged: JudgedQueries, params: Convert, *, where: str) -> tuple[JudgedQueries, pd.DataFrame]:
    """Look for leaks between train and the other splits and act by the policy."""
    policy = params.leaks
    leaks = find_leaks(judged.queries, near_duplicate=policy.near_duplicate, min_words=policy.min_words)
    if leaks.empty or policy.policy == "report":
        return judged, leaks
    if policy.policy == "fail":
        kinds = ", ".join(f"{count} {kind}" for kind, count in leaks["kind"].value_counts().items())
        first = f"train {leaks['train_query_id'][0]!r} and {leaks['split'][0]} {leaks['query_id'][0]!r}"
        raise InputError(
            f"{where}: expected no train query that gives away one of dev or test, got {kinds}, first {first}; "
            "mend the data, or write policy: drop or report"
        )
    judged = judged.without(judged.queries["query_id"].isin(leaks["train_query_id"]), "train query that leaks")
    if not (judged.queries["split"] == "train").any():
        raise InputError(f"{where}: policy drop leaves no train query; mend the data, or write policy: report")
    return judged, leaks


def _split(judged: JudgedQueries, name: str) -> Split:
    queries = judged.queries[judged.queries["split"] == name]
    qrels = judged.qrels[judged.qrels["query_id"].isin(queries["query_id"])]
    return Split(queries, qrels, qrels[qrels["score"].notna()])
