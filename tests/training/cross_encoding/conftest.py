"""A tiny base whose query and document fit into its positions together, and how it is tuned."""

from pathlib import Path

import pytest

CROSS_ENCODER = {"method": "cross_encoder", "cross_encoder": {"loss": "binary", "k": 5}}


@pytest.fixture(scope="session")
def pair_base(tmp_path_factory: pytest.TempPathFactory, fetch_values: dict[str, object]) -> Path:
    """The tiny model, fetched with a prefix of queries and with lengths that add up to its 64 positions."""
    from retune.fetching import fetch
    from retune.params.fetch import Fetch

    out = tmp_path_factory.mktemp("models") / "pairs"
    values = fetch_values | {"document_max_length": 32, "query_prefix": "sum "}
    fetch.fetch(Fetch.parse("fetch.pairs", values), out, where="params.yaml: fetch.pairs")
    return out
