"""Layout `sentence_transformers`: rows of an anchor, a positive and negatives."""

from pathlib import Path

from retune.core.errors import InputError
from retune.core.records import Dataset
from retune.layouts.contents import (
    ANSWERS,
    EQUAL_TEXTS,
    GRADES,
    PROMPTS,
    SCORES,
    TITLES,
    UNANSWERED,
    examples_of,
    filled,
    num_equal,
    text_by_id,
    write_lines,
)

LACKS = (TITLES, PROMPTS, ANSWERS, GRADES, SCORES, UNANSWERED)


def write(dataset: Dataset, folder: Path) -> dict[str, int]:
    """Write one row per positive; all rows of a split have equally many negatives, as the trainer requires."""
    texts = text_by_id(dataset)
    negatives_left_out = 0
    used: set[str] = set()
    for name, split in filled(dataset):
        examples = [example for example in examples_of(split) if example.positives]
        num_negatives = min((len(example.negatives) for example in examples), default=0)
        rows = []
        for example in examples:
            negatives_left_out += len(example.negatives) - num_negatives
            negatives = [pair.doc_id for pair in example.negatives[:num_negatives]]
            used.update(negatives, (pair.doc_id for pair in example.positives))
            columns = {f"negative_{number}": texts[doc_id] for number, doc_id in enumerate(negatives, 1)}
            rows += [{"anchor": example.text, "positive": texts[pair.doc_id]} | columns for pair in example.positives]
        write_lines(folder / f"{name}.jsonl", rows)
    if not any(folder.iterdir()):
        raise InputError("sentence_transformers: expected queries in train, dev or test, got none; use another layout")
    return {
        "ids": len(dataset.corpus) + sum(len(split.queries) for split in dataset.splits.values()),
        "negatives beyond the number that every query has": negatives_left_out,
        "documents in no row": len(dataset.corpus) - len(used),
        EQUAL_TEXTS: num_equal(texts[doc_id] for doc_id in used),
    }
