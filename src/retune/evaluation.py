"""Measure a model on a split: encode, rank the whole corpus, score."""

import pandas as pd

from retune.encoding import Encoder
from retune.errors import InputError
from retune.metrics import score_ranking
from retune.records import Split, document_texts
from retune.search import top_k


def evaluate(encoder: Encoder, corpus: pd.DataFrame, split: Split, ks: list[int]) -> pd.DataFrame:
    """Rank the whole corpus for every query of a split and return its scores, as `score_ranking` does.

    Raises:
        InputError: The split has no queries.
    """
    if split.queries.empty:
        raise InputError("expected queries to evaluate on, got an empty split; give the data set one (convert.<name>)")
    documents = encoder.encode_documents(document_texts(corpus), ids=corpus["doc_id"].tolist())
    texts, prompts, ids = (split.queries[column].tolist() for column in ("text", "prompt", "query_id"))
    queries = encoder.encode_queries(texts, prompts, ids=ids)
    _, ranking = top_k(queries, documents, max(ks), device=encoder.device)
    return score_ranking(ranking, corpus["doc_id"], split, ks)
