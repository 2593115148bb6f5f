"""FlagEmbedding's trainers, for encoders and for decoders with in-context examples."""

from typing import Any

from FlagEmbedding.abc.finetune.embedder import AbsEmbedderSameDatasetCollator
from FlagEmbedding.finetune.embedder.decoder_only.icl import (
    BiDecoderOnlyEmbedderICLModel,
    DecoderOnlyEmbedderICLTrainer,
)
from FlagEmbedding.finetune.embedder.encoder_only.base import BiEncoderOnlyEmbedderModel, EncoderOnlyEmbedderTrainer

from retune.training.prepare import Prepared

POOLING = {"cls": "cls", "mean": "mean", "lasttoken": "last_token"}  # names in sentence-transformers: in FlagEmbedding
SPARE = 8  # tokens: a query cut within a character gets longer when tokenised again, and would lose its suffix


def make_trainer(prepared: Prepared, dataset: Any) -> Any:
    """Return FlagEmbedding's trainer, which trains the weights of a sentence-transformers model in place."""
    params, encoding, args = prepared.task.params, prepared.encoding, prepared.args
    tokenizer: Any = prepared.model.tokenizer
    is_icl = params.method == "icl"
    first: Any = prepared.model[0]
    pooling: Any = prepared.model[1]
    forward = (BiDecoderOnlyEmbedderICLModel if is_icl else BiEncoderOnlyEmbedderModel)(
        first.model,
        tokenizer=tokenizer,
        temperature=params.temperature,
        sentence_pooling_method=POOLING[pooling.pooling_mode],
        normalize_embeddings=True,
        use_mrl=params.matryoshka_dims is not None,
        mrl_dims=params.matryoshka_dims or [],
    )
    if args.gradient_checkpointing:
        forward.enable_input_require_grads()  # otherwise no gradient reaches the adapters of frozen layers
    query_length = encoding.query_max_length + (SPARE if is_icl else 0)
    lengths = {"query_max_len": query_length, "passage_max_len": encoding.document_max_length}
    return (DecoderOnlyEmbedderICLTrainer if is_icl else EncoderOnlyEmbedderTrainer)(
        model=forward,
        args=args,
        train_dataset=dataset,
        data_collator=AbsEmbedderSameDatasetCollator(tokenizer=tokenizer, padding=True, return_tensors="pt", **lengths),
        processing_class=tokenizer,
    )
