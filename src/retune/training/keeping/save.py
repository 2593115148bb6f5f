"""Save a tuned model as a directory that gives the same vectors with plain sentence-transformers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
from retune.core.files import atomic_directory
from retune.models.directory import load_model, save_model
from retune.models.encoding_settings import Encoding
from retune.training.adapters import save_adapter

KEPT = "kept"  # the directory of the tuned model in the scratch directory
PARITY = 1e-4  # the largest difference allowed in the vectors of the reloaded model


def keep_model(
    model: SentenceTransformer, whole: SentenceTransformer, encoding: Encoding, folder: Path, texts: Sequence[str]
) -> None:
    """Write a model's directory, and check that the model reloaded by sentence-transformers gives the same vectors.

    Args:
        model: The model in training, whose adapter is saved too, if it has one.
        whole: The copy of the model to save, with the adapter merged.
        encoding: The encoding settings to save.
        folder: The directory to write.
        texts: The texts to compare vectors of.

    Raises:
        InputError: The reloaded model gives different vectors.
    """
    with atomic_directory(folder) as partial:
        save_model(whole, encoding, partial)
        save_adapter(model, partial / "adapter")
        ours, theirs = (
            np.stack([encode(list(texts), normalize_embeddings=True, show_progress_bar=False) for encode in encoders])
            for loaded in (whole, load_model(partial, whole.device.type))
            for encoders in [(loaded.encode_query, loaded.encode_document)]
        )
        difference = float(np.abs(ours - theirs).max())
        if not difference <= PARITY:
            raise InputError(
                f"{partial}: expected the same vectors from the tuned model when sentence-transformers reloads it, got "
                f"differences of up to {difference:.1e}; use another base, as this one is not saved completely"
            )
