"""Read tables that a user adds to the data: classes of queries, or documents to exclude."""

from pathlib import Path

import pandas as pd

from retune.core.errors import InputError


def read_user_table(path: Path) -> pd.DataFrame:
    """Read comma-separated values with a header; every value is a string, missing ones are empty.

    Raises:
        InputError: The file is not in this form.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:  # raised by pandas or by decoding
        raise InputError(f"{path}: expected comma-separated values in UTF-8, got: {error}; fix the file") from None
