"""Tables that a user writes beside the data: classes of queries, documents to leave out."""

from pathlib import Path

import pandas as pd

from retune.core.errors import InputError


def read_given(path: Path) -> pd.DataFrame:
    """Read comma-separated values with a header, all as texts, empty ones too.

    Raises:
        InputError: It is no such file.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:  # of pandas and of decoding
        raise InputError(f"{path}: expected comma-separated values in UTF-8, got: {error}; mend it") from None
