"""The base as a run trains it: number format, attention code, dropout, adapter."""

import importlib.util

import torch
from sentence_transformers import SentenceTransformer
from transformers import BitsAndBytesConfig

from retune.core.errors import InputError
from retune.models.directory import load_model
from retune.training.adapters import add_lora
from retune.training.spec import Task


def load_for_training(task: Task, device: torch.device, dtype: torch.dtype) -> SentenceTransformer:
    """Load the base in float32, but for layers that stay frozen in 4 bits, with dropout and adapter as asked for.

    Args:
        task: The run.
        device: Where it trains.
        dtype: What it computes in.

    Raises:
        InputError: 4-bit loading or the attention code is not to be had here, no layer is of a name to adapt, or
            Matryoshka dimensions are more than the model has, or frozen layers are all of its layers.
    """
    params = task.params
    lora = params.lora if params.method in ("lora", "icl") else None
    place = "cpu" if params.is_sharded else device.type  # the trainer brings each process its part
    fastest = "eager" if device.type == "cpu" else None
    attention = fastest if params.attention == "auto" else params.attention
    quantization = _four_bit(device, dtype) if lora and lora.load_in_4bit else None
    try:
        model = load_model(task.base, place, attention=attention, quantization=quantization).float()
    except (ImportError, InputError) as error:
        if params.attention == "auto":
            raise
        raise InputError(f"attention: {params.attention}: {str(error).splitlines()[0]} Write auto") from None
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = params.dropout
    dim = int(model.get_embedding_dimension() or 0)
    if params.matryoshka_dims and max(params.matryoshka_dims) > dim:
        raise InputError(f"matryoshka_dims: expected at most the model's {dim}, got {max(params.matryoshka_dims)}")
    if params.frozen_layers:
        freeze_layers(model, params.frozen_layers)
    if lora:
        add_lora(model, lora, base=task.base.name, seed=task.seed)
    model.model_card_data.generate_widget_examples = False
    return model


def freeze_layers(model: SentenceTransformer, num_layers: int) -> None:
    """Leave the lowest layers out of training, in place, and whatever else the input of the next one depends on.

    Args:
        model: Its first module is a transformer.
        num_layers: 1 or more.

    Raises:
        InputError: It has no layer above these, or no list of layers that each have their own weights.
    """
    config = getattr(getattr(model[0], "model", None), "config", None)
    depth = getattr(config, "num_hidden_layers", None)
    lists = (module for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == depth)
    layers = next(lists, None)
    if layers is None:
        raise InputError(f"frozen_layers: expected 0, as the model has no list of its layers, got {num_layers}")
    if num_layers >= len(layers):
        raise InputError(f"frozen_layers: expected fewer than the model's {len(layers)} layers, got {num_layers}")
    inputs: list[torch.Tensor] = []
    hook = layers[num_layers].register_forward_pre_hook(
        lambda layer, args, kwargs: inputs.append([*args, *kwargs.values()][0]), with_kwargs=True
    )
    model(dict(model.tokenizer(["a"], return_tensors="pt").to(model.device)))
    hook.remove()
    parameters = [values for values in model.parameters() if values.requires_grad]  # sines of positions do not
    gradients = torch.autograd.grad(inputs[0].sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.requires_grad = False


def _four_bit(device: torch.device, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return the loading of QLoRA (Dettmers et al., arXiv:2305.14314)."""
    if device.type != "cuda":
        raise InputError(f"lora.load_in_4bit: expected a CUDA device, got {device.type}; write false")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "lora.load_in_4bit: expected the package bitsandbytes, found none; pip install bitsandbytes, or write false"
        )
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )
