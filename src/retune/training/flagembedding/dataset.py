"""The training examples as a data set of FlagEmbedding."""

import json
from typing import Any

from FlagEmbedding.abc.finetune.embedder import AbsEmbedderDataArguments, AbsEmbedderSameDatasetTrainDataset
from FlagEmbedding.finetune.embedder.decoder_only.icl import (
    DecoderOnlyEmbedderICLDataArguments,
    DecoderOnlyEmbedderICLSameDatasetTrainDataset,
)

from retune.core.files import write_text
from retune.models.encoding_settings import Encoding
from retune.training.batches.examples import Examples
from retune.training.prepare import Prepared


def make_dataset(prepared: Prepared) -> Any:
    """Write the examples in FlagEmbedding's layout, and return its data set, each row of which is a batch."""
    params, encoding, scratch = prepared.task.params, prepared.encoding, prepared.scratch
    suffix = "" if params.in_batch_negatives else "_no_in_batch_neg"  # FlagEmbedding looks for this name
    path = scratch / f"train{suffix}.jsonl"
    examples, temperature = prepared.plan.examples, params.teacher_temperature or 1.0
    rows = (_row(examples, query, encoding, temperature) for query in range(len(examples.queries)))
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    values: dict[str, Any] = {
        "train_data": [str(path)],
        "cache_path": str(scratch / "cache"),
        "train_group_size": 1 + params.hard_negatives,
        "query_max_len": encoding.query_max_length,
        "passage_max_len": encoding.document_max_length,
        "passage_instruction_for_retrieval": encoding.document_prefix or None,
        "knowledge_distillation": params.loss == "kl",
    }
    options = params.batch_size, prepared.task.seed, prepared.model.tokenizer
    if params.method != "icl" or params.icl is None:
        return AbsEmbedderSameDatasetTrainDataset(AbsEmbedderDataArguments(**values), *options)
    icl_arguments = DecoderOnlyEmbedderICLDataArguments(
        **values,
        icl_suffix_str=encoding.query_suffix,
        retrieval_use_examples=params.icl.examples,
        example_query_max_len=params.icl.example_max_length,
        example_passage_max_len=encoding.document_max_length,
    )
    return DecoderOnlyEmbedderICLSameDatasetTrainDataset(icl_arguments, *options)


def _row(examples: Examples, query: int, encoding: Encoding, temperature: float) -> dict[str, object]:
    """Return a query with all its documents; the query's prompt and the model's prefix are joined."""
    text, prompt = examples.queries[query]
    row: dict[str, object] = {"prompt": (prompt or "") + encoding.query_prefix, "query": text}
    for kind, found in (("pos", examples.positives[query]), ("neg", examples.negatives[query])):
        row[kind] = [examples.documents[position] for position in found.positions]
        row[f"{kind}_scores"] = (found.scores / temperature).tolist()
    return row
