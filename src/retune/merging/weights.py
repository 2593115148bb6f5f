"""Weighted means of the weights of models: base and tuned model (WiSE-FT, Wortsman et al., arXiv:2109.01903)."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
from retune.models.directory import first_module, load_model, read_encoding, save_model
from retune.models.encoding_settings import Encoding
from retune.models.scope import check_unscoped

State = Mapping[str, torch.Tensor]


class Mergeable:
    """A base and the mean of models that were tuned from it, between which weights are interpolated.

    Attributes:
        encoding: The encoding settings, which are the same for all.
    """

    def __init__(self, base: Path, tuned: Sequence[Path]) -> None:
        """Load the models.

        Args:
            base: The directory of the base.
            tuned: The directories of the tuned models; all count equally.

        Raises:
            InputError: A model is made for one data set, reads texts differently than the base, or has other modules
                or weights of other shapes.
        """
        for folder in (base, *tuned):
            check_unscoped(folder)
        self.encoding = read_encoding(base)
        for folder in tuned:
            _check_same_reading(base, self.encoding, folder)
        self._model = load_model(base, "cpu")
        loaded = [load_model(folder, "cpu") for folder in tuned]
        for folder, model in zip(tuned, loaded, strict=True):
            _check_same_modules(base, self._model, folder, model)
        states = [model.state_dict() for model in loaded]
        for folder, state in zip(tuned, states, strict=True):
            _check_same_weights(base, self._model.state_dict(), folder, state)
        self._model.to(_widest([self._model.state_dict(), *states]))  # a narrower format would round what was learned
        self._base = _copy(self._model)
        self._tuned = {
            name: _mean([state[name].float() for state in states])
            for name, values in self._base.items()
            if values.is_floating_point()
        }

    @torch.no_grad()
    def write(self, weight: float, folder: Path) -> None:
        """Write the model (1 - weight) * base + weight * mean of the tuned models to a folder that exists.

        Weight 0 gives the weights of the base bit for bit, and weight 1 those of a single tuned model, so that their
        vectors are found in the embedding cache.
        """
        merged = {
            name: _between(values, self._tuned[name], weight) if name in self._tuned else values
            for name, values in self._base.items()
        }
        self._model.load_state_dict(merged)
        save_model(self._model, self.encoding, folder)


def _copy(model: SentenceTransformer) -> State:
    return {name: values.detach().clone() for name, values in model.state_dict().items()}


def _mean(values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean; of one tensor, the tensor itself, because a sum makes 0.0 of -0.0."""
    return values[0].clone() if len(values) == 1 else torch.stack(list(values)).mean(dim=0)


def _between(base: torch.Tensor, tuned: torch.Tensor, weight: float) -> torch.Tensor:
    if weight in (0.0, 1.0):
        return tuned.to(base.dtype) if weight else base
    return torch.lerp(base.float(), tuned, weight).to(base.dtype)


def _widest(states: Sequence[State]) -> torch.dtype:
    """Return the number format that holds the weights of all models."""
    found = {values.dtype for state in states for values in state.values() if values.is_floating_point()}
    return functools.reduce(torch.promote_types, found)


def _check_same_modules(base: Path, model: SentenceTransformer, folder: Path, other: SentenceTransformer) -> None:
    """Check that both models have the same parts, such as their pooling."""
    expected, found = (
        [f"{type(module).__name__} {getattr(module, 'pooling_mode', '')}".strip() for module in each]
        for each in (model, other)
    )
    if expected != found:
        raise InputError(
            f"{folder}: expected the modules of {base} ({', '.join(expected)}), got {', '.join(found)}; "
            "merge a base with a model that was tuned from it"
        )


def _check_same_reading(base: Path, encoding: Encoding, folder: Path) -> None:
    """Check that a model gets the same tokens from the same text as the base."""
    other = read_encoding(folder)
    if differing := [
        name for name in Encoding.model_fields if name != "dtype" and getattr(encoding, name) != getattr(other, name)
    ]:
        name = differing[0]
        raise InputError(
            f"{folder}: expected {name} {getattr(encoding, name)!r}, as {base} has it, got {getattr(other, name)!r}; "
            "merge a base with a model that was tuned from it"
        )
    if _vocabulary(base) != _vocabulary(folder):
        raise InputError(
            f"{folder}: expected the vocabulary of {base}, got another one; merge a base with a model tuned from it"
        )


def _vocabulary(folder: Path) -> dict[str, int]:
    """Return the id of each token."""
    from transformers import AutoTokenizer

    _, module = first_module(folder)
    vocabulary: dict[str, int] = AutoTokenizer.from_pretrained(module, local_files_only=True).get_vocab()
    return vocabulary


def _check_same_weights(base: Path, expected: State, folder: Path, found: State) -> None:
    """Check that each weight of the base has its like."""
    for name in sorted({*expected, *found}):
        shapes = [list(state[name].shape) if name in state else "none" for state in (expected, found)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{folder}: expected weights of the same architecture as {base}, got {name} of shape {shapes[1]} "
                f"where the base has {shapes[0]}; merge a base with a model that was tuned from it"
            )
