"""What lies behind the means: every data set by parts of its queries, and the queries that changed most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retune.comparison.lineage import Run
from retune.comparison.paths import Inputs
from retune.comparison.query_changes import QueryChange, query_changes
from retune.comparison.score_tables import ScoreTable
from retune.comparison.slices import SliceChange, divide, read_given_slices, slice_changes, warn_of_unread
from retune.comparison.test_sets import cut, read_documents, read_judged_queries
from retune.params.compare import Compare


@dataclass(frozen=True)
class Details:
    """Of all runs on all data sets.

    Attributes:
        slices: Changes on parts of the queries.
        changes: Queries that changed most.
        num_changed: Queries that changed, in all.
        query_texts: Text by data set and query of the changes, cut to some hundred characters.
        document_texts: Text by data set and document of the changes, cut in the same way.
    """

    slices: list[SliceChange]
    changes: list[QueryChange]
    num_changed: int
    query_texts: dict[tuple[str, str], str]
    document_texts: dict[tuple[str, str], str]


def look_closer(
    tables: Sequence[ScoreTable], runs: Mapping[str, Run], inputs: Inputs, params: Compare, seed: int
) -> Details:
    """Divide the queries of every data set, and look up those that changed most.

    Raises:
        InputError: A run file, a user's slices or a data set is missing or at odds with the scores.
    """
    warn_of_unread(inputs.slices, [table.dataset for table in tables])
    details = Details([], [], _count_changed(tables, runs, params), {}, {})
    for table in tables:
        _look_at(table, runs, inputs, (params, seed), details)
    return details


def _look_at(
    table: ScoreTable, runs: Mapping[str, Run], inputs: Inputs, settings: tuple[Compare, int], details: Details
) -> None:
    """Add one data set's details."""
    params, seed = settings
    test = read_judged_queries(inputs.datasets / table.dataset, table.query_ids)
    changes = query_changes(table, runs, test, inputs.run_files, params)
    first = {change.found for change in changes if change.found is not None}
    documents = read_documents(test.folder, {*test.relevant["doc_id"], *first})
    parts = divide(test, documents["characters"], read_given_slices(inputs.slices, table))
    details.slices.extend(slice_changes(table, runs, parts, params, seed))
    details.changes.extend(changes)
    shown = first | {wanted.doc_id for change in changes for wanted in change.wanted}
    texts = documents["text"].loc[doc_ids := sorted(shown)]
    details.document_texts.update(zip(((table.dataset, doc_id) for doc_id in doc_ids), texts, strict=True))
    queries = test.queries.loc[query_ids := [change.query_id for change in changes]]
    details.query_texts.update(
        zip(((table.dataset, query_id) for query_id in query_ids), map(cut, queries), strict=True)
    )


def _count_changed(tables: Sequence[ScoreTable], runs: Mapping[str, Run], params: Compare) -> int:
    return sum(
        int(np.count_nonzero(table.change(run, runs[run].base, params.metric)))
        for table in tables
        for run in table.models
        if run in runs
    )
