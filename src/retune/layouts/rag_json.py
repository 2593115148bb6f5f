"""Layout `rag_json`: one JSON file with texts and ids."""

import json
from pathlib import Path

from retune.core.files import write_text
from retune.core.records import Dataset
from retune.layouts.contents import EQUAL_TEXTS, GRADES, PROMPTS, SCORES, TITLES, examples_of, num_equal, text_by_id

LACKS = (TITLES, PROMPTS, GRADES, SCORES)


def write(dataset: Dataset, folder: Path) -> dict[str, int]:
    """Write everything to one file; documents have their titles before their texts, as they are encoded."""
    splits = {name: examples_of(split) for name, split in dataset.splits.items()}
    examples = [example for part in splits.values() for example in part]
    texts = text_by_id(dataset)
    content = {
        "queries": {example.query_id: example.text for example in examples},
        "corpus": texts,
        "relevant_docs": {example.query_id: [pair.doc_id for pair in example.positives] for example in examples},
        "negative_docs": {
            example.query_id: [pair.doc_id for pair in example.negatives] for example in examples if example.negatives
        },
        "reference_answers": {example.query_id: example.answer for example in examples if example.answer is not None},
        "queries_split": {name: [example.query_id for example in part] for name, part in splits.items()},
    }
    write_text(folder / "dataset.json", json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    return {EQUAL_TEXTS: num_equal(texts.values())}
