"""Training with FlagEmbedding's trainers: encoders, and decoders that read examples in their context."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from FlagEmbedding.abc.finetune.embedder import (
    AbsEmbedderDataArguments,
    AbsEmbedderSameDatasetCollator,
    AbsEmbedderSameDatasetTrainDataset,
    EmbedderTrainerCallbackForDataRefresh,
)
from FlagEmbedding.finetune.embedder.decoder_only.icl import (
    BiDecoderOnlyEmbedderICLModel,
    DecoderOnlyEmbedderICLDataArguments,
    DecoderOnlyEmbedderICLSameDatasetTrainDataset,
    DecoderOnlyEmbedderICLTrainer,
)
from FlagEmbedding.finetune.embedder.encoder_only.base import BiEncoderOnlyEmbedderModel, EncoderOnlyEmbedderTrainer
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import ProgressCallback, TrainingArguments

from retune.core.errors import InputError
from retune.core.files import write_text
from retune.models.directory import read_encoding
from retune.models.encoding_settings import Encoding
from retune.params.finetune import Finetune
from retune.training.adapters import save_adapter
from retune.training.batches.plan import Plan
from retune.training.history import DEV, HistoryRow, read_log
from retune.training.keeping.save import KEPT
from retune.training.memory import is_out_of_memory
from retune.training.processes.group import num_processes
from retune.training.progress import describe_profile
from retune.training.spec import Task
from retune.training.trainer import DevEvaluator

ADAPTERS = "adapters"  # the adapters of all epochs, in the scratch directory and in that of the tuned model
ICL_QUERY_LENGTH = 512  # tokens that FlagEmbedding reserves for the query itself, before it adds examples
POOLING = {"cls": "cls", "mean": "mean", "lasttoken": "last_token"}  # names in sentence-transformers: in FlagEmbedding
SPARE = 8  # tokens: a query cut within a character gets longer when tokenised again, and would lose its suffix
LOG = logging.getLogger(__name__)


def train_with_flagembedding(
    task: Task, plan: Plan, model: SentenceTransformer, args: TrainingArguments, evaluator: DevEvaluator, scratch: Path
) -> list[HistoryRow]:
    """Train a model in place, keep the tuned model in `scratch`, and return the training history.

    FlagEmbedding provides batches, forward pass and loss. The weights remain those of a sentence-transformers model, so
    dev scores and the saved directory are made as with the other engine.

    Raises:
        InputError: FlagEmbedding cannot train this model or these data, a loss is not finite, or there is too little
            memory.
    """
    params, encoding = task.params, read_encoding(task.base)
    if num_processes() > 1:
        raise InputError(f"engine flagembedding: expected one process, got {num_processes()}; start a single process")
    _check(plan, model, args, params, encoding)
    shutil.rmtree(scratch)  # it cannot resume, as its batches depend on all random numbers drawn before
    tokenizer = _padding_tokenizer(model)
    dataset = _dataset(plan, params, encoding, tokenizer, scratch, task.seed)
    trainer = _trainer(model, tokenizer, dataset, args, params, encoding)
    scores = _EpochScores(trainer, evaluator, model, scratch)
    trainer.remove_callback(ProgressCallback)
    for callback in (EmbedderTrainerCallbackForDataRefresh(dataset), scores):
        trainer.add_callback(callback)
    num_left = len(plan.query_ids) % params.batch_size
    batches = f"{len(dataset)} full batches per epoch, {num_left} queries left out of each epoch"
    LOG.info("training by FlagEmbedding on %s, dropout %g, %s", describe_profile(model, args), params.dropout, batches)
    try:
        trainer.train()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"out of memory on {args.device} with batch_size {params.batch_size} and {params.hard_negatives} "
            "hard_negatives; lower them or the maximum lengths, or set trainer: {gradient_checkpointing: true}"
        ) from None
    if (scratch / ADAPTERS).is_dir():
        shutil.copytree(scratch / ADAPTERS, scratch / KEPT / ADAPTERS)
    return scores.history_rows()


def _check(
    plan: Plan, model: SentenceTransformer, args: TrainingArguments, params: Finetune, encoding: Encoding
) -> None:
    """Refuse whatever FlagEmbedding does not support, or would treat differently."""
    modules = [type(module) for module in model if not isinstance(module, Normalize)]
    pooling = model[1].pooling_mode if modules == [Transformer, Pooling] else None
    if pooling not in POOLING:
        found = ", ".join(module.__name__ for module in modules) + (f" of mode {pooling}" if pooling else "")
        raise InputError(
            f"engine flagembedding: expected a transformer with pooling by {', '.join(POOLING)}, got {found}; "
            "use engine sentence_transformers"
        )
    if plan.is_mixture:
        raise InputError(
            "data: expected a recipe under mine with engine flagembedding, which does not support the weights of "
            "sources, got a mixture; use engine sentence_transformers"
        )
    if len(plan.query_ids) < params.batch_size:
        raise InputError(
            f"batch_size: expected at most {len(plan.query_ids)} with engine flagembedding, the number of queries, "
            f"got {params.batch_size}; lower batch_size, as the engine runs full batches only"
        )
    if args.dataloader_num_workers:
        raise InputError(
            "RETUNE_DATA_WORKERS: expected 0 with engine flagembedding, whose data set must stay in one process, "
            f"got {args.dataloader_num_workers}; unset it"
        )
    if (params.method == "icl") != bool(encoding.query_suffix):
        wanted = r"a query_suffix such as \n<response>" if params.method == "icl" else "an empty query_suffix"
        remedy = "" if params.method == "icl" else ", or use engine sentence_transformers"
        raise InputError(
            f"method {params.method} with engine flagembedding: expected a base with {wanted}, "
            f"got {encoding.query_suffix!r}; change it in fetch{remedy}"
        )
    if params.icl and params.icl.examples and encoding.query_max_length <= ICL_QUERY_LENGTH:
        raise InputError(
            f"icl.examples: expected a base with a query_max_length above {ICL_QUERY_LENGTH}, the tokens that "
            f"FlagEmbedding reserves for the query, got {encoding.query_max_length}; raise it in fetch, or set "
            "examples: false"
        )


def _padding_tokenizer(model: SentenceTransformer) -> Any:
    """Return the model's tokenizer, with a padding token added if it has none."""
    tokenizer: Any = model.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def _dataset(plan: Plan, params: Finetune, encoding: Encoding, tokenizer: Any, scratch: Path, seed: int) -> Any:
    """Write the examples in FlagEmbedding's layout, and return its data set, each row of which is a batch."""
    suffix = "" if params.in_batch_negatives else "_no_in_batch_neg"  # FlagEmbedding looks for this name
    path = scratch / f"train{suffix}.jsonl"
    temperature = params.teacher_temperature or 1.0
    lines = [json.dumps(_row(plan, query, encoding, temperature)) + "\n" for query in range(len(plan.query_ids))]
    write_text(path, "".join(lines))
    values: dict[str, Any] = {
        "train_data": [str(path)],
        "cache_path": str(scratch / "cache"),
        "train_group_size": 1 + params.hard_negatives,
        "query_max_len": encoding.query_max_length,
        "passage_max_len": encoding.document_max_length,
        "passage_instruction_for_retrieval": encoding.document_prefix or None,
        "knowledge_distillation": params.loss == "kl",
    }
    if params.method != "icl" or params.icl is None:
        arguments = AbsEmbedderDataArguments(**values)
        return AbsEmbedderSameDatasetTrainDataset(arguments, params.batch_size, seed, tokenizer)
    icl_arguments = DecoderOnlyEmbedderICLDataArguments(
        **values,
        icl_suffix_str=encoding.query_suffix,
        retrieval_use_examples=params.icl.examples,
        example_query_max_len=params.icl.example_max_length,
        example_passage_max_len=encoding.document_max_length,
    )
    return DecoderOnlyEmbedderICLSameDatasetTrainDataset(icl_arguments, params.batch_size, seed, tokenizer)


def _row(plan: Plan, query: int, encoding: Encoding, temperature: float) -> dict[str, object]:
    """Return a query with all its documents; the query's prompt and the model's prefix are joined."""
    text, prompt = plan.queries[query]
    row: dict[str, object] = {"prompt": (prompt or "") + encoding.query_prefix, "query": text}
    for kind, (positions, scores) in zip(("pos", "neg"), plan.candidates(query), strict=True):
        row[kind] = [plan.documents[position] for position in positions]
        row[f"{kind}_scores"] = (scores / temperature).tolist()
    return row


def _trainer(
    model: SentenceTransformer, tokenizer: Any, dataset: Any, args: Any, params: Finetune, encoding: Encoding
) -> Any:
    """Return FlagEmbedding's trainer, which trains the weights of a sentence-transformers model in place."""
    is_icl = params.method == "icl"
    first: Any = model[0]
    pooling: Any = model[1]
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


class _EpochScores(ProgressCallback):
    """Scores the model and saves its adapter after each epoch, shows the loss, and stops if it is not finite."""

    def __init__(self, trainer: Any, evaluator: DevEvaluator, model: SentenceTransformer, scratch: Path) -> None:
        super().__init__()
        self._trainer, self._evaluator, self._model, self._scratch = trainer, evaluator, model, scratch
        self.args = trainer.args
        evaluator.trainer = self

    def history_rows(self) -> list[HistoryRow]:
        """Return all steps and dev scores so far."""
        return read_log(self._trainer.state.log_history)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        epoch = round(state.epoch)
        save_adapter(self._model, self._scratch / ADAPTERS / f"epoch_{epoch}")
        score = self._evaluator(self._model, epoch=epoch, steps=state.global_step)["dev"]
        state.log_history.append({DEV: score, "step": state.global_step, "epoch": epoch})
        LOG.info("step %d of %d: dev %.4f", state.global_step, state.max_steps, score)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" not in logs:
            return
        if self.training_bar is not None:
            self.training_bar.set_postfix(loss=logs["loss"])
        if not torch.isfinite(torch.tensor(float(logs["loss"]))):
            raise InputError(
                f"step {state.global_step}: expected a finite loss, got {float(logs['loss'])}; lower learning_rate or "
                "raise temperature"
            )
