"""The arguments of the library's trainer: those that retune sets, and those passed on from `trainer` in params.yaml."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoderTrainingArguments, SentenceTransformerTrainingArguments
from sentence_transformers.base.training_args import BaseTrainingArguments
from transformers.integrations.integration_utils import get_available_reporting_integrations

from retune.core.errors import InputError
from retune.core.local_settings import read_local_settings
from retune.params.finetune import Finetune

REFUSED = {  # arguments of the library that would interfere with retune's batches, checkpoints or output
    "accelerator_config", "auto_find_batch_size", "batch_sampler", "ddp_backend", "ddp_timeout", "do_eval",
    "do_predict", "do_train", "eval_on_start", "eval_steps", "full_determinism", "greater_is_better", "hub_model_id",
    "ignore_data_skip", "load_best_model_at_end", "metric_for_best_model", "multi_dataset_batch_sampler",
    "parallelism_config", "prompts", "push_to_hub", "resume_from_checkpoint",
    "restore_callback_states_from_checkpoint", "router_mapping", "save_on_each_node", "save_only_model", "save_steps",
    "torch_compile",
}  # fmt: skip
LOCAL = {"report_to": "RETUNE_REPORT_TO", "dataloader_num_workers": "RETUNE_DATA_WORKERS"}  # do not change results


def training_arguments(
    params: Finetune, folder: Path, device: torch.device, dtype: torch.dtype, seed: int
) -> BaseTrainingArguments:
    """Return the arguments of the library's trainer, of its kind for the method.

    Raises:
        InputError: An entry of `trainer` is unknown, or set by retune itself; or a value is invalid.
    """
    fixed: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": params.all_epochs,
        "max_steps": -1,
        "per_device_train_batch_size": 1,  # one row is a whole batch
        "learning_rate": params.learning_rate,
        "warmup_steps": params.warmup_ratio,  # a number below 1 is a share of all steps
        "weight_decay": params.weight_decay,
        "bf16": dtype is torch.bfloat16,
        "fp16": dtype is torch.float16 and device.type == "cuda",
        "use_cpu": device.type == "cpu",
        "seed": seed,
        "data_seed": seed,
        "eval_strategy": "no",
        "save_strategy": "no",
        "save_total_limit": 2,  # one of them may be incomplete
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # would report 0 for a loss that is not finite
        "dataloader_pin_memory": False,
        "ddp_broadcast_buffers": False,  # buffers do not change, and repeated forward passes must not communicate
    }
    kind = CrossEncoderTrainingArguments if params.method == "cross_encoder" else SentenceTransformerTrainingArguments
    known = {field.name for field in dataclasses.fields(kind)}
    for name in params.trainer:
        if name in LOCAL:
            raise InputError(f"trainer.{name}: not a parameter; set {LOCAL[name]} in the environment")
        if name in fixed or name in REFUSED:
            raise InputError(
                f"trainer.{name}: expected none, as retune sets or excludes this argument; see docs/finetune.md for "
                "the parameters to use instead"
            )
        if name not in known:
            raise InputError(
                f"trainer.{name}: expected a training argument of transformers, got an unknown name; fix the spelling"
            )
    local = read_local_settings()
    chosen = {"lr_scheduler_type": "linear"} | params.trainer
    chosen |= {"report_to": local.report_to or "none", "dataloader_num_workers": local.data_workers}
    chosen["dataloader_drop_last"] = True  # the plan handles this; avoids warnings from several processes
    try:
        args = kind(**fixed, **chosen)
    except (TypeError, ValueError, ImportError) as error:
        raise InputError(f"trainer: {str(error).splitlines()[0]}") from None
    installed = get_available_reporting_integrations()  # type: ignore[no-untyped-call]
    if missing := sorted(set(args.report_to or []) - set(installed)):
        raise InputError(
            f"RETUNE_REPORT_TO: expected installed integrations ({', '.join(installed) or 'there are none'}), "
            f"got {', '.join(missing)}; install it, or fix the name"
        )
    args._n_gpu = min(args.n_gpu, 1)  # each process uses one GPU, even if others are visible
    return args


def refusal(params: Finetune) -> str | None:
    """Return what is wrong with the entries of `trainer`, or None."""
    try:
        training_arguments(params, Path("unused"), torch.device("cpu"), torch.float32, seed=0)
    except InputError as error:
        return str(error)
    return None
