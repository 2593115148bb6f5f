"""Make queries and judgments fit to use: known ids, no contradictions, every query answered."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from retune.corpus import CorpusWriter
from retune.errors import InputError

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


def clean(judged: Judged, corpus: CorpusWriter, *, max_unusable: float, raw: Path) -> Judged:
    """Give judgments the ids that the corpus kept, and leave out what cannot be used.

    Args:
        judged: As the source has them.
        corpus: The documents written.
        max_unusable: Share of judgments, and of queries, that may be left out as unusable.
        raw: The source, for messages.

    Raises:
        InputError: There are no documents, or more than `max_unusable` is left out.
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
    _limit(unknown, qrels, "judgment of an unknown query or document", max_unusable, raw, dropped)
    dropped["negative equal to its query"] += sum(is_itself)
    usable = qrels[~unknown & ~pd.Series(is_itself, index=qrels.index, dtype=bool)]
    usable = usable.assign(doc_id=usable["kept_id"], relevance=usable["relevance"].clip(lower=0))[QREL_COLUMNS]
    unanswered = ~queries["query_id"].isin(usable.loc[usable["relevance"] > 0, "query_id"])
    _limit(unanswered, queries, "query without a relevant document", max_unusable, raw, dropped)
    unique, contradicted = _unique_qrels(usable)
    dropped["negative equal to a positive"] += contradicted
    return Judged(queries, unique, dropped - Counter()).without(unanswered, "query without a relevant document")


def _limit(
    is_out: pd.Series, table: pd.DataFrame, what: str, max_unusable: float, raw: Path, dropped: Counter[str]
) -> None:
    """Raise if more rows than the stated share are out, else count judgments (queries are counted as they go)."""
    if is_out.sum() > max_unusable * len(table) or (len(table) and is_out.all()):
        first = table[is_out].iloc[0]
        ids = " ".join(f"{column} {first[column]!r}" for column in ("query_id", "doc_id") if column in table)
        raise InputError(
            f"{raw}: {what}: expected at most {max_unusable:.2%} (max_unusable), got {is_out.sum()} of "
            f"{len(table)}, first {ids}; mend the data or raise max_unusable"
        )
    if "doc_id" in table:
        dropped[what] += int(is_out.sum())


def merge_queries(judged: Judged) -> Judged:
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
