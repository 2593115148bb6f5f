"""Put a training query and its answer before each dev and test query, for models trained on in-context examples."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from retune.core.seeds import generator

ANY = ("any", "")
ExamplesByTopic = Mapping[tuple[str, str], Sequence[tuple[str, str]]]  # for each topic, pairs of group and example


def add_examples(queries: pd.DataFrame, *, seed: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Put an example before the prompt of each dev or test query that has an `example` itself.

    The example is drawn from training queries of other groups: from those that share the query's first topic; if
    there are none, from those that share its second topic, and so on; finally from all. A draw depends on the seed
    and the query, not on other draws.

    Args:
        queries: `query_id`, `split`, `prompt`, `group`, `topics` and `example`, as in `source_records.Query`.
        seed: The seed of the draws.

    Returns:
        The queries, and the number of queries whose example shares each kind of topic, `any` topic or `none` (no
        example found).
    """
    has_example = queries["example"].notna()
    by_topic: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    is_train = queries["split"] == "train"
    for group, topics, example in queries.loc[is_train & has_example, ["group", "topics", "example"]].to_numpy():
        for topic in (*topics, ANY):
            by_topic[topic].append((group, example))
    prompts = queries["prompt"].fillna("").astype(object)
    counts: Counter[str] = Counter()
    held_out = queries.loc[~is_train & has_example, ["query_id", "group", "topics"]]
    for row, query_id, group, topics in held_out.itertuples(name=None):
        shared, examples = _closest_examples(by_topic, topics, group)
        counts[shared] += 1
        if examples:
            prompts[row] = examples[generator(seed, f"example of {query_id}").integers(len(examples))] + prompts[row]
    return queries.assign(prompt=prompts.where(prompts != "", None)), dict(counts)


def _closest_examples(
    by_topic: ExamplesByTopic, topics: Sequence[tuple[str, str]], group: str
) -> tuple[str, list[str]]:
    """Return the kind of the first topic with examples of other groups, and these examples."""
    for topic in (*topics, ANY):
        if examples := [example for other_group, example in by_topic.get(topic, ()) if other_group != group]:
            return topic[0], examples
    return "none", []
