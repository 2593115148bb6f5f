"""Make a data set of synthetic queries from documents alone: choose documents, draft, filter, split, count."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import SPLITS, Dataset, Split, document_texts, read_corpus, read_split
from retune.datasets.statistics import describe, lengths, measure
from retune.encoding.compute import Compute
from retune.llm.prompts import Prompt
from retune.models.directory import is_system
from retune.params.search import Torch
from retune.params.synthesize import GENERATED_KINDS, TWO_DOCUMENTS, Filters, Synthesize
from retune.synthesis import extractive, filters
from retune.synthesis.audit import Outcome, audit, samples
from retune.synthesis.drafts import REJECTED_COLUMNS, Draft, Drafts, Rejected
from retune.text.language import main_language

if TYPE_CHECKING:
    from retune.encoding.encoder import Encoder
    from retune.llm.ledger import Ledger


class Synthetic(NamedTuple):
    """A synthetic data set.

    Attributes:
        rejected: `doc_id`, `kind`, `text` and `reason` of every query that was left out.
        samples: Queries with their documents, for a person to read.
        statistics: Counts and lengths, as of any data set.
        lengths: Percentiles of the lengths, as of any data set.
        audit: What was drafted, kept and rejected.
    """

    dataset: Dataset
    rejected: pd.DataFrame
    samples: pd.DataFrame
    statistics: dict[str, Any]
    lengths: pd.DataFrame
    audit: dict[str, Any]


@dataclass
class Task:
    """What a synthetic data set is made from, and how.

    Attributes:
        source: The folder of the converted data set.
        model: The model directory for choosing documents and for the filters; a system with a reranker is a stricter
            filter of round trips.
        prompts: The folder of prompt files.
        ledgers: What language models were asked so far, by purpose.
    """

    source: Path
    model: Path
    prompts: Path
    params: Synthesize
    compute: Compute
    seed: int
    ledgers: dict[str, Ledger] = field(default_factory=dict)

    @cached_property
    def corpus(self) -> pd.DataFrame:
        """All documents of the source."""
        return read_corpus(self.source)

    @cached_property
    def encoder(self) -> Encoder:
        """The model, or the first stage of a system, loaded when it is first needed."""
        from retune.encoding.encoder import Encoder

        if not is_system(self.model):
            return Encoder.load(self.model, self.compute)
        from retune.retrieval.system_directory import part_folders

        return Encoder.load(part_folders(self.model)[0], self.compute)

    def find(self, queries: Sequence[str], corpus: pd.DataFrame, rank: int) -> np.ndarray:
        """Return the positions of the documents that the model ranks best for each query, (queries, rank)."""
        from retune.retrieval.retriever import load_retriever

        ids = [str(number) for number in range(len(queries))]
        table = pd.DataFrame({"query_id": ids, "text": queries, "prompt": None})
        retriever = load_retriever(self.model, self.source.name, corpus, table, self.compute)
        return retriever.top_k(rank, Torch(backend="torch"), seed=self.seed).positions

    @cached_property
    def language(self) -> str:
        """The language of most documents, as an ISO 639-1 code."""
        return main_language(self.corpus["text"].tolist())

    def queries(self, *splits: str) -> list[str]:
        """Return the real queries of splits of the source."""
        return [text for name in splits for text in read_split(self.source, name).queries["text"]]


def synthesize(task: Task) -> Synthetic:
    """Return a data set of the same documents with synthetic queries.

    Raises:
        InputError: No query is left for a split, or the language model's server, key or prompts are missing or wrong.
    """
    params = task.params
    documents = _choose(task)
    split_of = _assign(documents["doc_id"], params, task.seed)
    drafts, cut = _draft(task, documents, split_of)
    aids = filters.Aids(
        task.queries("dev", "test"),
        lambda: task.language,
        lambda: task.encoder,
        task.find,
        lambda items: _judge(task, items, drafts.corpus),
    )
    kept, rejected = filters.keep(drafts, params.filters or Filters(), aids)
    everything = [*drafts.rejected, *rejected]
    splits = _split(kept, split_of, params, everything)
    rejects = pd.DataFrame(everything, columns=REJECTED_COLUMNS).astype(str)
    corpus = extractive.without_queries(task.corpus, kept)
    texts = corpus["text"].tolist()
    sizes = measure(texts)
    outcome = Outcome(drafts.queries, kept, everything, len(documents), cut)
    return Synthetic(
        Dataset(corpus, splits),
        rejects,
        samples(outcome, corpus, split_of),
        describe(splits, *sizes, texts, Counter(rejects["reason"])),
        lengths(splits, *sizes),
        audit(outcome, task.ledgers),
    )


def _choose(task: Task) -> pd.DataFrame:
    """Return the documents to ask about."""
    if task.corpus.empty:
        raise InputError(f"{task.source}: expected documents to make queries for, found none; convert some")
    if task.params.documents is None or task.params.documents >= len(task.corpus):
        return task.corpus
    from retune.synthesis.coverage import choose

    return choose(task.corpus, task.params.documents, task.encoder, seed=task.seed)


def _assign(doc_ids: pd.Series, params: Synthesize, seed: int) -> dict[str, str]:
    """Draw the split of each document's queries."""
    unique = np.random.default_rng(seed).permutation(np.sort(doc_ids.to_numpy(dtype=str)))
    num_dev, num_test = (math.ceil(round(share * len(unique), 6)) for share in (params.dev, params.test))
    splits = np.repeat(["dev", "test", "train"], [num_dev, num_test, max(0, len(unique) - num_dev - num_test)])
    return dict(zip(unique.tolist(), splits.tolist(), strict=False))


def _draft(task: Task, documents: pd.DataFrame, split_of: Mapping[str, str]) -> tuple[Drafts, int]:
    """Return the drafts of the method, and how many documents were shown in part."""
    params, seed = task.params, task.seed
    kinds = dict.fromkeys(SPLITS, params.kinds) | ({"test": params.test_kinds} if params.test_kinds else {})
    kinds_of = {doc_id: kinds[split] for doc_id, split in split_of.items()}
    if params.method == "extractive":
        return extractive.draft(task.corpus, params, kinds_of=kinds_of, seed=seed), 0
    from retune.synthesis import generated

    assert params.generation is not None
    purposes = {split: "test_queries" if split == "test" else "queries" for split in set(split_of.values())}
    prompts = {
        split: Prompt(task.prompts, purpose, task.language, kinds=GENERATED_KINDS)
        for split, purpose in sorted(purposes.items())
    }
    wanted = generated.Wanted(
        kinds_of=kinds_of,
        prompt_of={doc_id: prompts[split] for doc_id, split in split_of.items()},
        second_of=_second_documents(task, documents, split_of),
        examples=task.queries("dev") if params.generation.examples else [],
    )
    result = generated.draft(documents, params, wanted, seed=seed)
    task.ledgers["queries"] = result.ledger
    return result.drafts._replace(corpus=task.corpus), result.cut


def _second_documents(task: Task, documents: pd.DataFrame, split_of: Mapping[str, str]) -> dict[str, str]:
    """Return a second document for each, of the same split, if a kind of query needs it."""
    if not any((kinds or {}).get(TWO_DOCUMENTS) for kinds in (task.params.kinds, task.params.test_kinds)):
        return {}
    from retune.synthesis.coverage import pair_up

    doc_ids = documents["doc_id"].tolist()
    return pair_up(doc_ids, split_of, task.encoder.encode_documents(document_texts(documents), ids=doc_ids))


def _judge(task: Task, drafts: Sequence[Draft], corpus: pd.DataFrame) -> Sequence[int | None]:
    """Return the score of each query for its document, of which the judge sees the part that the writer saw."""
    from retune.llm.judge import judge
    from retune.synthesis.generated import part_shown

    llm, generation = task.params.llm, task.params.generation
    assert llm is not None
    assert generation is not None
    texts = dict(zip(corpus["doc_id"], document_texts(corpus), strict=True))
    prompt = Prompt(task.prompts, "judge", task.language)
    for doc_id in {doc_id for draft in drafts for doc_id in draft.doc_ids}:
        texts[doc_id] = part_shown(doc_id, texts[doc_id], generation.document_words, task.seed)
    pairs = [(draft.text, "\n\n".join(texts[doc_id] for doc_id in draft.doc_ids)) for draft in drafts]
    earlier = list(task.ledgers.values())
    scores, task.ledgers["judge"] = judge(pairs, llm, prompt, seed=task.seed, earlier=earlier)
    return scores


def _split(
    kept: Sequence[Draft], split_of: Mapping[str, str], params: Synthesize, rejected: Sequence[Rejected]
) -> dict[str, Split]:
    """Return the splits with ids and judgments.

    Raises:
        InputError: A split that was asked for has no query.
    """
    queries = pd.DataFrame(kept, columns=Draft._fields).assign(prompt=None, relevance=1)
    numbers = queries.groupby("doc_id").cumcount().astype(str)
    queries.insert(0, "query_id", queries["doc_id"] + "-q" + numbers)
    of_queries = queries["doc_id"].map(split_of)
    for name, share in {"train": 1.0, "dev": params.dev, "test": params.test}.items():
        if share > 0 and not (of_queries == name).any():
            reasons = Counter(item.reason for item in rejected).most_common(3)
            counts = "; ".join(f"{reason}: {count}" for reason, count in reasons) or "no text could become one"
            raise InputError(
                f"expected queries for {name}, got none from {len(split_of)} documents ({counts}); "
                "give it more documents, change the lengths, relax filters, or raise llm.max_tokens for cut off replies"
            )
    second = queries[queries["second_doc_id"].notna()]
    qrels = pd.concat([queries, second.assign(doc_id=second["second_doc_id"])]).sort_index(kind="stable")
    of_qrels = of_queries[qrels.index]
    return {
        name: Split(queries[of_queries == name], qrels[(of_qrels == name).to_numpy()].reset_index(drop=True))
        for name in SPLITS
    }
