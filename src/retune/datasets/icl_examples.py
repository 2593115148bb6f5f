"""One training query with its answer put before each query of dev and test, for models that read examples."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from retune.core.seeds import generator

ANY = ("any", "")
Candidates = Mapping[tuple[str, str], Sequence[tuple[str, str]]]  # by topic, groups and examples


def add_examples(queries: pd.DataFrame, *, seed: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Put an example before the prompt of each query of dev and test that has one itself.

    It is drawn from the training queries of other groups: those that share the query's first topic, if there are none
    those that share its second, and so on, at last all. A draw depends on the seed and the query, not on other draws.

    Args:
        queries: `query_id`, `split`, `prompt`, `group`, `topics` and `example` as in `source.Query`.
        seed: Of the draws.

    Returns:
        The queries, and how many found an example by each topic, by `any` or by `none`.
    """
    has_example = queries["example"].notna()
    candidates: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    is_train = queries["split"] == "train"
    for group, topics, example in queries.loc[is_train & has_example, ["group", "topics", "example"]].to_numpy():
        for topic in (*topics, ANY):
            candidates[topic].append((group, example))
    prompts = queries["prompt"].fillna("").astype(object)
    counts: Counter[str] = Counter()
    asking = queries.loc[~is_train & has_example, ["query_id", "group", "topics"]]
    for row, query_id, group, topics in asking.itertuples(name=None):
        found, others = _narrowest(candidates, topics, group)
        counts[found] += 1
        if others:
            prompts[row] = others[generator(seed, f"example of {query_id}").integers(len(others))] + prompts[row]
    return queries.assign(prompt=prompts.where(prompts != "", None)), dict(counts)


def _narrowest(candidates: Candidates, topics: Sequence[tuple[str, str]], group: str) -> tuple[str, list[str]]:
    """Return the name of the first topic that a query of another group shares, and the examples of all that do."""
    for topic in (*topics, ANY):
        if others := [example for other, example in candidates.get(topic, ()) if other != group]:
            return topic[0], others
    return "none", []
