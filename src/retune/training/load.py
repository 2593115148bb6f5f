"""Loading the base model for training: number format, attention implementation, dropout, frozen layers, adapter."""

import importlib.util

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from transformers import BitsAndBytesConfig

from retune.core.errors import InputError
from retune.models.directory import load_model
from retune.training.adapters import add_lora
from retune.training.spec import Task
from retune.training.towers import add_head


def load_for_training(task: Task, device: torch.device, dtype: torch.dtype) -> SentenceTransformer:
    """Load the base in float32, except for frozen layers in 4 bits, and set up dropout and adapter.

    Args:
        task: The training.
        device: The device to train on.
        dtype: The number format to compute in.

    Raises:
        InputError: The base is a static model, 4-bit loading or the attention implementation is not available here, no
            layer has a name that the adapter needs, a Matryoshka dimension exceeds the model's, or all layers would be
            frozen.
    """
    params = task.params
    lora = params.lora if params.trains_adapter else None
    load_on = "cpu" if params.is_sharded else device.type  # the trainer distributes a sharded model
    fastest = "eager" if device.type == "cpu" else None
    attention = fastest if params.attention == "auto" else params.attention
    quantization = _four_bit(device, dtype) if lora and lora.load_in_4bit else None
    try:
        model = load_model(task.base, load_on, attention=attention, quantization=quantization).float()
    except (ImportError, InputError) as error:
        if params.attention == "auto":
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"attention: {params.attention}: {reason}; use auto") from None
    if isinstance(model[0], StaticEmbedding):
        raise InputError(f"{task.base}: expected a transformer to train, got a static model; name another base")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = params.dropout
    dim = int(model.get_embedding_dimension() or 0)
    if params.matryoshka_dims and max(params.matryoshka_dims) > dim:
        raise InputError(
            f"matryoshka_dims: expected at most the model's {dim} dimensions, got {max(params.matryoshka_dims)}; "
            "lower them"
        )
    _choose_weights(model, task)
    model.model_card_data.generate_widget_examples = False
    return model


def _choose_weights(model: SentenceTransformer, task: Task) -> None:
    """Freeze what is not trained, and add what is."""
    params = task.params
    if params.frozen_layers:
        freeze_layers(model, params.frozen_layers)
    if params.trains_adapter and params.lora:
        add_lora(model, params.lora, base=task.base.name, seed=task.seed)
    if params.head:
        add_head(model, params.head)


def freeze_layers(model: SentenceTransformer, num_layers: int) -> None:
    """Freeze the lowest layers in place, and everything else that the input of the next layer depends on.

    Args:
        model: A model whose first module is a transformer.
        num_layers: The number of layers to freeze, at least 1.

    Raises:
        InputError: The model has no layer above these, or it has no list of layers with separate weights.
    """
    config = getattr(getattr(model[0], "model", None), "config", None)
    depth = getattr(config, "num_hidden_layers", None)
    lists = (module for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == depth)
    layers = next(lists, None)
    if layers is None:
        raise InputError(
            f"frozen_layers: expected 0, as the model has no list of its layers, got {num_layers}; remove it"
        )
    if num_layers >= len(layers):
        raise InputError(
            f"frozen_layers: expected fewer than the model's {len(layers)} layers, got {num_layers}; lower it"
        )
    inputs: list[torch.Tensor] = []
    hook = layers[num_layers].register_forward_pre_hook(
        lambda layer, args, kwargs: inputs.append([*args, *kwargs.values()][0]), with_kwargs=True
    )
    model(dict(model.tokenizer(["a"], return_tensors="pt").to(model.device)))
    hook.remove()
    parameters = [values for values in model.parameters() if values.requires_grad]  # fixed position embeddings do not
    gradients = torch.autograd.grad(inputs[0].sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.requires_grad = False


def _four_bit(device: torch.device, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return the quantisation of QLoRA (Dettmers et al., arXiv:2305.14314)."""
    if device.type != "cuda":
        raise InputError(f"lora.load_in_4bit: expected a CUDA device, got {device.type}; set it to false")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "lora.load_in_4bit: expected the package bitsandbytes, got none; run pip install bitsandbytes, or set it "
            "to false"
        )
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )
