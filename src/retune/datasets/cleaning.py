"""Clean queries and judgments: no unknown ids, contradictions, repetitions or queries without a relevant document."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from retune.core.errors import InputError
from retune.datasets.corpus_writer import CorpusWriter, content_of

QUERY_COLUMNS = ["query_id", "text", "split", "prompt", "answer", "group", "topics", "example"]
QREL_COLUMNS = ["query_id", "doc_id", "relevance", "score", "content"]


@dataclass(frozen=True)
class QuerySet:
    """The queries of all splits and their judgments.

    Attributes:
        queries: `query_id`, `text`, `split`, `prompt`, `answer`, `group`, `topics`, `example`.
        qrels: `query_id`, `doc_id`, `relevance`, `score` (NaN if there is none), and after cleaning `content`, a
            digest of the document's text without its title.
        dropped: The number of records left out, by reason.
    """

    queries: pd.DataFrame
    qrels: pd.DataFrame
    dropped: Counter[str]

    def without(self, is_out: pd.Series, reason: str) -> "QuerySet":
        """Return the query set without the marked queries and their judgments; the queries are counted as dropped."""
        kept = self.queries[~is_out]
        qrels = self.qrels[self.qrels["query_id"].isin(kept["query_id"])]
        return QuerySet(kept, qrels, self.dropped + Counter({reason: int(is_out.sum())}))


def clean(query_set: QuerySet, corpus: CorpusWriter, *, max_unusable: float, raw: Path) -> QuerySet:
    """Replace document ids by those that the corpus kept, and leave out unusable judgments and queries.

    Args:
        query_set: The queries and judgments from the source.
        corpus: The writer that has written the documents.
        max_unusable: The share of judgments, and of queries, that may be unusable.
        raw: The source, for messages.

    Raises:
        InputError: There are no documents, or a larger share than `max_unusable` is unusable.
    """
    if not len(corpus):
        raise InputError(f"{raw}: expected documents, got none")
    queries, qrels, dropped = query_set.queries, query_set.qrels, query_set.dropped + corpus.dropped
    contents = {query_id: content_of(text, None) for query_id, text in queries[["query_id", "text"]].to_numpy()}
    unknown = qrels["doc_id"].map(corpus.kept_id).isna() | ~qrels["query_id"].isin(contents.keys())
    _refuse_above(max_unusable, unknown, qrels, "judgment of an unknown query or document", raw)
    dropped["judgment of an unknown query or document"] += int(unknown.sum())

    qrels = qrels[~unknown]
    dropped["negative relevance taken for 0"] += int((qrels["relevance"] < 0).sum())
    qrels = qrels.assign(
        doc_id=qrels["doc_id"].map(corpus.kept_id),
        relevance=qrels["relevance"].clip(lower=0),
        content=qrels["doc_id"].map(corpus.bare_content),
    )
    is_itself = (qrels["relevance"] == 0) & (qrels["content"] == qrels["query_id"].map(contents))
    dropped["negative equal to its query"] += int(is_itself.sum())
    qrels, counts = _unique_qrels(qrels[~is_itself])

    unanswered = ~queries["query_id"].isin(qrels.loc[qrels["relevance"] > 0, "query_id"])
    _refuse_above(max_unusable, unanswered, queries, "query without a relevant document", raw)
    cleaned = QuerySet(queries, qrels[QREL_COLUMNS], dropped + counts)
    return cleaned.without(unanswered, "query without a relevant document")


def merge_queries(query_set: QuerySet) -> QuerySet:
    """Merge queries of one split with equal text and prompt into one query with all their judgments.

    The merged query has the id and group of the first one, and the first answer that is present.
    """
    repeated = query_set.queries
    key = [repeated["split"], repeated["prompt"].fillna(""), repeated["text"]]
    groups = repeated.groupby(key, sort=False)
    first = groups["query_id"].transform("first")
    names = dict(zip(repeated["query_id"], first, strict=True))
    answers = repeated["answer"]
    kept_answers = groups["answer"].transform("first")
    queries = repeated.assign(answer=kept_answers)[first == repeated["query_id"]]
    qrels, counts = _unique_qrels(query_set.qrels.assign(query_id=query_set.qrels["query_id"].map(names)))
    counts["query merged"] = len(repeated) - len(queries)
    counts["answer of a merged query"] = int((answers.notna() & (answers != kept_answers)).sum())
    return QuerySet(queries, qrels, query_set.dropped + counts)


def _unique_qrels(qrels: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
    """Keep one of repeated judgments, that with the highest relevance, and drop negatives with a positive's text."""
    positives = qrels[qrels["relevance"] > 0]
    pairs = pd.MultiIndex.from_frame(positives[["query_id", "content"]])
    is_positive_text = pd.MultiIndex.from_frame(qrels[["query_id", "content"]]).isin(pairs)
    contradicted = (qrels["relevance"] == 0) & is_positive_text
    order = qrels[~contradicted].sort_values(["relevance", "score"], ascending=False, kind="stable")
    unique = order.drop_duplicates(["query_id", "doc_id"]).sort_index()
    repeated = len(qrels) - int(contradicted.sum()) - len(unique)
    counts = {"negative equal to a positive": int(contradicted.sum()), "judgment given again": repeated}
    return unique, Counter(counts)


def _refuse_above(share: float, is_out: pd.Series, table: pd.DataFrame, what: str, raw: Path) -> None:
    """Raise if more than a share of the rows, or all of them, are left out."""
    if is_out.sum() > share * len(table) or (len(table) and is_out.all()):
        first = table[is_out].iloc[0]
        ids = " ".join(f"{column} {first[column]!r:.80}" for column in ("query_id", "doc_id") if column in table)
        raise InputError(
            f"{raw}: {what}: expected at most {share:.2%} (max_unusable), got {is_out.sum()} of {len(table)}, "
            f"first {ids}; fix the data or raise max_unusable"
        )
