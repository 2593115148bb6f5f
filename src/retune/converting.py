"""Turn a source into a clean data set with its statistics: deduplicated, merged, split, guarded, counted."""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from retune import converters
from retune.corpus import CorpusWriter
from retune.errors import InputError
from retune.files import atomic_file
from retune.leaks import LEAK_COLUMNS, find_leaks
from retune.params.convert import Convert
from retune.params.section import read_value
from retune.records import SPLITS, Split, write_splits, write_table
from retune.source import Document, Dropped, Judgment, Query, Record, check_record
from retune.splitting import assign_splits
from retune.statistics import describe, lengths

QUERY_COLUMNS = ["query_id", "text", "split", "prompt", "answer", "group"]
QREL_COLUMNS = ["query_id", "doc_id", "relevance", "score"]


@dataclass(frozen=True)
class Judged:
    """Queries with their judgments, on the way to becoming splits.

    Attributes:
        queries: `query_id`, `text`, `split`, `prompt`, `answer`, `group`.
        qrels: `query_id`, `doc_id`, `relevance`, `score` (NaN where there is none).
        dropped: What was left out, by reason.
    """

    queries: pd.DataFrame
    qrels: pd.DataFrame
    dropped: Counter[str]

    def without(self, is_out: pd.Series, reason: str) -> "Judged":
        """Leave out the queries marked and their judgments, and count the queries."""
        kept = self.queries[~is_out]
        qrels = self.qrels[self.qrels["query_id"].isin(kept["query_id"])]
        return Judged(kept, qrels, self.dropped + Counter({reason: int(is_out.sum())}))


def formats() -> list[str]:
    """Return the names of all formats."""
    return sorted(module.name for module in pkgutil.iter_modules(converters.__path__))


def read_params(key: str) -> Convert:
    """Return a `convert` entry, checked by its format's own `Params`."""
    return parse_params(key, read_value(key))


def parse_params(key: str, value: Any) -> Convert:
    """Check a `convert` entry read from `key`; the format named in it says which parameters there are."""
    name = value.get("format") if isinstance(value, dict) else None
    if name not in formats():
        raise InputError(f"params.yaml: {key}.format: expected one of {', '.join(formats())}, got {name!r}")
    params: Convert = importlib.import_module(f"retune.converters.{name}").Params.parse(key, value)
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
    records = importlib.import_module(f"retune.converters.{params.format}").read(raw, params)
    with atomic_file(out / "corpus.parquet") as partial:
        corpus = CorpusWriter(partial)
        try:
            judged = _clean(
                _gather(records, corpus, keep_first=params.merge_queries == "keep_first"), corpus, params, raw
            )
        except OSError as error:
            raise InputError(f"{error.filename or raw}: expected a readable file, got: {error.strerror}") from None
        finally:
            corpus.close()
        if params.everything_in:
            judged = replace(judged, queries=judged.queries.assign(split=params.everything_in))
        if params.merge_queries is True:
            judged = _merge_queries(judged)
        splits = assign_splits(judged.queries, judged.qrels, params, seed=seed, where=f"params.yaml: {where}")
        judged = replace(judged, queries=judged.queries.assign(split=splits))
        judged, leaks = _guard(judged, params, where=f"params.yaml: {where}.leaks")
        parts = {name: _split(judged, name) for name in SPLITS}
        write_splits(out, parts)
        write_table(out / "leaks.parquet", leaks)
    statistics = describe(parts, corpus.words, corpus.characters, corpus.sample, judged.dropped)
    found = leaks["kind"].value_counts().to_dict()
    statistics["leaks"] = {"policy": params.leaks.policy, "train_queries": leaks["train_query_id"].nunique(), **found}
    statistics["provenance"] = {"licence": params.licence, "source": params.source, "use": params.use}
    return statistics, lengths(parts, corpus.words, corpus.characters)


def _gather(records: Iterable[Record], corpus: CorpusWriter, *, keep_first: bool) -> Judged:
    """Write the documents that stream by to the corpus, and collect the rest."""
    queries: dict[str, Query] = {}
    judgments: list[Judgment] = []
    dropped: Counter[str] = Counter()
    seen: set[tuple[str, str | None, str]] = set()
    repeated: set[str] = set()
    for record in tqdm(records, desc="convert", unit="record", disable=None):
        if isinstance(record, Dropped):
            dropped[record.reason] += record.count
            continue
        check_record(record)
        if isinstance(record, Query):
            key = (record.split, record.prompt, record.text)
            if keep_first and key in seen:
                repeated.add(record.query_id)
            seen.add(key)
            if (known := queries.setdefault(record.query_id, record)) is not record:
                raise InputError(f"{record.where}: query_id {record.query_id!r}: given before, at {known.where}")
        elif isinstance(record, Judgment):
            judgments.append(record)
        elif record.query_id not in repeated:
            corpus.add(record)
    dropped["query repeated"] += len(repeated)
    judgments = [judgment for judgment in judgments if judgment.query_id not in repeated]
    rows = [query for query in queries.values() if query.query_id not in repeated]
    frame = pd.DataFrame(rows, columns=Query._fields)[QUERY_COLUMNS]
    frame["group"] = frame["group"].fillna(frame["query_id"])
    return Judged(frame, pd.DataFrame(judgments, columns=Judgment._fields)[QREL_COLUMNS], dropped)


def _clean(judged: Judged, corpus: CorpusWriter, params: Convert, raw: Path) -> Judged:
    """Give judgments the ids that the corpus kept, and leave out what cannot be used.

    Raises:
        InputError: There are no documents, no usable queries, or too much is left out.
    """
    if not len(corpus):
        raise InputError(f"{raw}: expected documents, got none")
    queries, dropped = judged.queries, judged.dropped + corpus.dropped
    texts = dict(zip(queries["query_id"], queries["text"], strict=True))
    qrels = judged.qrels.assign(kept_id=judged.qrels["doc_id"].map(corpus.kept_id))
    unknown = qrels["kept_id"].isna() | ~qrels["query_id"].isin(texts.keys())
    dropped["negative relevance taken for 0"] += int((qrels["relevance"] < 0).sum())
    pairs = zip(qrels["query_id"], qrels["doc_id"], qrels["relevance"], strict=True)
    is_itself = [grade <= 0 and corpus.has_text(doc_id, texts.get(query_id, "")) for query_id, doc_id, grade in pairs]
    _limit(unknown, qrels, "judgment of an unknown query or document", params, raw, dropped)
    dropped["negative equal to its query"] += sum(is_itself)
    usable = qrels[~unknown & ~pd.Series(is_itself, index=qrels.index, dtype=bool)]
    usable = usable.assign(doc_id=usable["kept_id"], relevance=usable["relevance"].clip(lower=0))[QREL_COLUMNS]
    unanswered = ~queries["query_id"].isin(usable.loc[usable["relevance"] > 0, "query_id"])
    _limit(unanswered, queries, "query without a relevant document", params, raw, dropped)
    unique, contradicted = _unique_qrels(usable)
    dropped["negative equal to a positive"] += contradicted
    return Judged(queries, unique, dropped - Counter()).without(unanswered, "query without a relevant document")


def _limit(
    is_out: pd.Series, table: pd.DataFrame, what: str, params: Convert, raw: Path, dropped: Counter[str]
) -> None:
    """Raise if more rows than the stated share are out, else count judgments (queries are counted as they go)."""
    if is_out.sum() > params.max_unusable * len(table) or (len(table) and is_out.all()):
        first = table[is_out].iloc[0]
        ids = " ".join(f"{column} {first[column]!r}" for column in ("query_id", "doc_id") if column in table)
        raise InputError(
            f"{raw}: {what}: expected at most {params.max_unusable:.2%} (max_unusable), got {is_out.sum()} of "
            f"{len(table)}, first {ids}; mend the data or raise max_unusable"
        )
    if "doc_id" in table:
        dropped[what] += int(is_out.sum())


def _merge_queries(judged: Judged) -> Judged:
    """Make queries of one split with equal text and prompt one query that has the judgments of all."""
    key = [judged.queries["split"], judged.queries["prompt"].fillna(""), judged.queries["text"]]
    first = judged.queries.groupby(key, sort=False)["query_id"].transform("first")
    names = dict(zip(judged.queries["query_id"], first, strict=True))
    queries = judged.queries[first == judged.queries["query_id"]]
    qrels, contradicted = _unique_qrels(judged.qrels.assign(query_id=judged.qrels["query_id"].map(names)))
    merged = len(judged.queries) - len(queries)
    counts = Counter({"query merged": merged, "negative equal to a positive": contradicted})
    return Judged(queries, qrels, judged.dropped + counts)


def _unique_qrels(qrels: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Keep the highest relevance and score of a repeated judgment; count negatives that were positives too."""
    grouped = qrels.groupby(["query_id", "doc_id"], sort=False)
    unique = grouped[["relevance", "score"]].max().reset_index()
    is_negative = qrels["relevance"] == 0
    return unique, int((is_negative & (grouped["relevance"].transform("max") > 0)).sum())


def _guard(judged: Judged, params: Convert, *, where: str) -> tuple[Judged, pd.DataFrame]:
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
    return judged, leaks[LEAK_COLUMNS]


def _split(judged: Judged, name: str) -> Split:
    queries = judged.queries[judged.queries["split"] == name]
    qrels = judged.qrels[judged.qrels["query_id"].isin(queries["query_id"])]
    return Split(queries, qrels, qrels[qrels["score"].notna()])
