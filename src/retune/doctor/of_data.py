"""Findings about data sets."""

from collections.abc import Iterator

from retune.doctor.finding import Finding
from retune.doctor.state import State, number
from retune.doctor.thresholds import MANY_CUT, UNLIKE_LENGTH


def leaks(state: State) -> Iterator[Finding]:
    """Train queries that repeat dev or test queries stayed in the data set: scores at home are too high."""
    for dataset, statistics in state.data.items():
        count, total = number(statistics, "leaks", "train_queries"), number(statistics, "splits", "train", "queries")
        if count and total and statistics["leaks"].get("policy") == "report":
            yield Finding(
                f"convert.{dataset}",
                f"{count:,.0f} of {total:,.0f} train queries leak a dev or test query.",
                "The model is tested on queries that it was trained on, so its gain at home may be too high.",
                "Read leaks.parquet of the data set, and set leaks: {policy: drop}.",
            )


def unlike_queries(state: State) -> Iterator[Finding]:
    """Train queries are much longer or shorter than test queries: the model trains for another task."""
    for name, tuned in state.tuned_models.items():
        test = number(state.data.get(tuned.home), "splits", "test", "length", "characters", "p50")
        for dataset in tuned.trained_on:
            train = number(state.data.get(dataset), "splits", "train", "length", "characters", "p50")
            if train and test and max(train / test, test / train) > UNLIKE_LENGTH:
                yield Finding(
                    f"finetune.{name}",
                    f"Train queries of {dataset} have {train:.0f} characters at the median, and test queries of "
                    f"{state.test_set(tuned.home)} have {test:.0f}.",
                    "The model learns from queries of another kind than it is asked.",
                    "Train on queries like those of test, or test on queries like those that people ask.",
                )


def cut_texts(state: State) -> Iterator[Finding]:
    """Many texts are cut to the maximum length of a base: the model does not see their ends."""
    for (model, dataset), content in state.pair_scores.items():
        for role in ("queries", "documents"):
            share = number(content, "share_truncated", role)
            if model in state.bases and share is not None and share > MANY_CUT:
                parameter = {"queries": "query_max_length", "documents": "document_max_length"}[role]
                yield Finding(
                    f"fetch.{model}",
                    f"{share:.0%} of the {role} of {state.test_set(dataset)} are cut to the maximum length.",
                    "The model does not see their ends.",
                    f"Raise {parameter}, or split long documents into passages; ignore this if their beginnings say "
                    "enough.",
                )
