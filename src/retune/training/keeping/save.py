"""Writing what a run keeps: a directory that gives plain sentence-transformers the vectors of training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
from retune.core.files import atomic_directory
from retune.models.directory import load_model, save_model
from retune.models.encoding_settings import Encoding
from retune.training.adapters import save_adapter

KEPT = "kept"  # in the scratch directory: the model to write
PARITY = 1e-4  # most that a reloaded model's vectors may differ by


def keep_model(
    model: SentenceTransformer, whole: SentenceTransformer, encoding: Encoding, folder: Path, texts: Sequence[str]
) -> None:
    """Write a model's directory, and check that plain sentence-transformers gives the same vectors with it."""
    with atomic_directory(folder) as partial:
        save_model(whole, encoding, partial)
        save_adapter(model, partial / "adapter")
        ours, theirs = (
            np.stack([encode(list(texts), normalize_embeddings=True, show_progress_bar=False) for encode in both])
            for each in (whole, load_model(partial, whole.device.type))
            for both in [(each.encode_query, each.encode_document)]
        )
        difference = float(np.abs(ours - theirs).max())
        if not difference <= PARITY:
            raise InputError(
                f"{partial}: reloaded by sentence-transformers, the trained model gives other vectors: they differ by "
                f"up to {difference:.1e}; its architecture is not saved whole"
            )
