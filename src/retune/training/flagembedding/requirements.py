"""Refuse whatever FlagEmbedding does not support or would treat differently."""

from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from retune.core.errors import InputError
from retune.training.flagembedding.trainer import POOLING
from retune.training.prepare import Prepared
from retune.training.processes.group import num_processes

ICL_QUERY_LENGTH = 512  # tokens that FlagEmbedding reserves for the query itself, before it adds examples


def check_requirements(prepared: Prepared) -> None:
    """Check that FlagEmbedding can train this model on these data.

    Raises:
        InputError: It cannot.
    """
    if num_processes() > 1:
        raise InputError(f"engine flagembedding: expected one process, got {num_processes()}; start a single process")
    _check_model(prepared)
    _check_batches(prepared)
    _check_queries(prepared)


def _check_model(prepared: Prepared) -> None:
    model = prepared.model
    modules = [type(module) for module in model if not isinstance(module, Normalize)]
    pooling = model[1].pooling_mode if modules == [Transformer, Pooling] else None
    if pooling not in POOLING:
        found = ", ".join(module.__name__ for module in modules) + (f" of mode {pooling}" if pooling else "")
        raise InputError(
            f"engine flagembedding: expected a transformer with pooling by {', '.join(POOLING)}, got {found}; "
            "use engine sentence_transformers"
        )
    if model.tokenizer.pad_token is None:
        raise InputError(
            f"{prepared.task.base}: expected a tokenizer with a padding token, which FlagEmbedding needs, got none; "
            "run the stage fetch again, as it sets one"
        )


def _check_batches(prepared: Prepared) -> None:
    plan, batch_size = prepared.plan, prepared.task.params.batch_size
    if plan.examples.is_mixture:
        raise InputError(
            "data: expected a recipe under mine with engine flagembedding, which does not support the weights of "
            "sources, got a mixture; use engine sentence_transformers"
        )
    if len(plan.query_ids) < batch_size:
        raise InputError(
            f"batch_size: expected at most {len(plan.query_ids)} with engine flagembedding, the number of queries, "
            f"got {batch_size}; lower batch_size, as the engine runs full batches only"
        )
    if workers := prepared.args.dataloader_num_workers:
        raise InputError(
            "RETUNE_DATA_WORKERS: expected 0 with engine flagembedding, whose data set must stay in one process, "
            f"got {workers}; unset it"
        )


def _check_queries(prepared: Prepared) -> None:
    params, encoding = prepared.task.params, prepared.encoding
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
