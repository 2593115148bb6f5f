"""Compare the vectors of a deployment, which is asked over HTTP, with those of the model's directory."""

from pathlib import Path

import numpy as np

from retune.core.errors import InputError
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.exporting.parity import check_parity, cosines, draw_texts
from retune.models.endpoint import is_endpoint
from retune.params.export import Parity


def compare_deployment(
    endpoint: Path, model: Path, dataset: Path, limits: Parity, compute: Compute, *, seed: int
) -> str:
    """Return what the cosines of both vectors of each text are, as a sentence.

    Args:
        endpoint: The directory of the endpoint, as `fetch` writes it.
        model: The directory of the model that is deployed there.
        dataset: The data set whose documents, and dev and test queries, are the texts.
        limits: How many texts, and the least and the median cosine allowed.
        compute: For encoding; the endpoint's vectors are never taken from the cache.
        seed: Draws the texts.

    Raises:
        InputError: A limit is not kept, the first is no endpoint or the second is one, or the endpoint's vectors have
            more dimensions.
    """
    if not is_endpoint(endpoint) or is_endpoint(model):
        raise InputError(
            f"parity: expected an endpoint and the model it runs, got {endpoint.name} and {model.name}; fetch both, "
            "and name the endpoint first"
        )
    texts = draw_texts(dataset, limits.texts, seed)
    found = texts.encode(Encoder.load(endpoint, compute.model_copy(update={"cache": None})))
    expected = texts.encode(Encoder.load(model, compute))
    if found.shape[1] > expected.shape[1]:
        raise InputError(
            f"{endpoint.name}: expected at most the {expected.shape[1]} dimensions of {model.name}, got "
            f"{found.shape[1]}; it runs another model"
        )
    values = cosines(expected, found)
    check_parity(values, limits, endpoint.name, f"see whether it runs {model.name}, with its prefixes and lengths")
    return (
        f"{endpoint.name}: the vectors of {len(values):,} texts are those of {model.name}: cosine {values.min():.5f} "
        f"at the least, {np.median(values):.5f} at the median"
    )
