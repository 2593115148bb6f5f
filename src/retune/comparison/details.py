"""What the mean changes hide: the changes on slices of every data set, and the queries that changed most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retune.comparison.lineage import TunedModel
from retune.comparison.paths import InputFolders
from retune.comparison.query_changes import QueryChange, query_changes
from retune.comparison.score_tables import ScoreTable
from retune.comparison.slices import SliceChange, divide, read_given_slices, slice_changes, warn_of_unread
from retune.comparison.test_sets import cut, read_documents, read_judged_queries
from retune.params.compare import Compare


@dataclass(frozen=True)
class Details:
    """The details of all tuned models on all data sets.

    Attributes:
        slices: Changes on slices of the queries.
        changes: The queries that changed most.
        num_changed: Number of all queries that changed.
        query_texts: The texts of the changed queries by data set and query, cut to 400 characters.
        document_texts: The texts of their documents by data set and document, cut in the same way.
    """

    slices: list[SliceChange]
    changes: list[QueryChange]
    num_changed: int
    query_texts: dict[tuple[str, str], str]
    document_texts: dict[tuple[str, str], str]


def read_details(
    tables: Sequence[ScoreTable],
    tuned_models: Mapping[str, TunedModel],
    inputs: InputFolders,
    params: Compare,
    seed: int,
) -> Details:
    """Divide the queries of every data set into slices, and look up the queries that changed most.

    Raises:
        InputError: A run file, a user's slices or a data set is missing or does not fit the scores.
    """
    warn_of_unread(inputs.slices, [table.dataset for table in tables])
    details = Details([], [], _count_changed(tables, tuned_models, params), {}, {})
    for table in tables:
        test = read_judged_queries(inputs.datasets / table.dataset, table.query_ids)
        changes = query_changes(table, tuned_models, test, inputs.run_files, params)
        first_hits = {change.found for change in changes if change.found is not None}
        documents = read_documents(test.folder, {*test.relevant["doc_id"], *first_hits})
        groups = divide(test, documents["characters"], read_given_slices(inputs.slices, table))
        details.slices.extend(slice_changes(table, tuned_models, groups, params, seed))
        details.changes.extend(changes)
        doc_ids = sorted(first_hits | {wanted.doc_id for change in changes for wanted in change.wanted})
        for doc_id, text in zip(doc_ids, documents["text"].loc[doc_ids], strict=True):
            details.document_texts[table.dataset, doc_id] = text
        query_ids = [change.query_id for change in changes]
        for query_id, text in zip(query_ids, test.queries.loc[query_ids], strict=True):
            details.query_texts[table.dataset, query_id] = cut(text)
    return details


def _count_changed(tables: Sequence[ScoreTable], tuned_models: Mapping[str, TunedModel], params: Compare) -> int:
    return sum(
        int(np.count_nonzero(table.change(model, tuned_models[model].base, params.metric)))
        for table in tables
        for model in table.models
        if model in tuned_models
    )
