"""Tokenising: distinct texts become token ids, cut to the model's maximum length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
import torch

from retune.core.errors import TextError
from retune.models.encoding_settings import Encoding, Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 1000  # texts tokenised at once; the tokens cut off stay in memory until the chunk is done
SHOWN = 60  # characters of a text in a message
MIN_NORM = 0.5  # a scaled vector has norm 1, or 0 if it has no direction


@dataclass(frozen=True)
class Texts:
    """Texts to encode, each distinct text once.

    Attributes:
        role: Whether they are queries or documents.
        texts: The distinct texts, prompts and prefixes included.
        rows: For every text given, its position in `texts`.
        ids: For every text given, its id for messages; or None.
    """

    role: Role
    texts: list[str]
    rows: np.ndarray
    ids: Sequence[str] | None

    @classmethod
    def of(cls, texts: Sequence[str], role: Role, ids: Sequence[str] | None) -> Texts:
        """Collect the distinct texts; `ids` has one id per text, or is None."""
        if ids is not None and len(ids) != len(texts):
            raise ValueError(f"{role}: expected an id for each of {len(texts)} texts, got {len(ids)}")
        positions: dict[str, int] = {}
        rows = [positions.setdefault(text, len(positions)) for text in texts]
        return cls(role, list(positions), np.array(rows, dtype=np.int64), ids)

    def name(self, row: int) -> str:
        """Describe one of `texts` for a message: the first id it came with, and how it starts."""
        start = repr(self.texts[row][:SHOWN])
        if self.ids is None:
            return f"the text {start}"
        return f"{self.ids[int(np.argmax(self.rows == row))]!r}, which starts {start}"

    def check(self, vectors: np.ndarray, rows: Sequence[int]) -> None:
        """Refuse vectors of these rows, already scaled to norm 1, that are not finite or have no direction."""
        norms = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(norms).all():
            row = rows[int(np.argmin(np.isfinite(norms)))]
            raise TextError(
                f"{self.role}: expected finite vectors, got one that is not finite for {self.name(row)}; "
                "try dtype: float32"
            )
        if (norms < MIN_NORM).any():
            raise self.no_direction(rows[int(np.argmax(norms < MIN_NORM))])

    def no_direction(self, row: int) -> TextError:
        """Return the error for a text whose vector is zero or missing."""
        return TextError(
            f"{self.role}: expected nonzero vectors, got zeros for {self.name(row)}: the model knows none of its "
            "words; remove the text, or use another model"
        )


class Tokenizer:
    """A model's tokeniser, with its maximum lengths and query suffix."""

    def __init__(self, tokenizer: Any, encoding: Encoding) -> None:
        """Take the tokeniser of a transformer, or of a static model, which has no special tokens."""
        self._is_static = isinstance(tokenizer, tokenizers.Tokenizer)
        self.plain: Any = _wrap(tokenizer) if self._is_static else tokenizer
        self._encoding = encoding

    def tokenize(self, texts: Sequence[str], role: Role) -> tuple[list[list[int]], list[bool]]:
        """Return each text's token ids, and whether it was cut.

        The suffix goes before the special tokens at the end, and is never cut.
        """
        suffix_ids = self._suffix_ids() if role == "queries" else []
        end = -self._num_special_at_end() or None if suffix_ids else None
        token_ids: list[list[int]] = []
        is_cut: list[bool] = []
        for start in range(0, len(texts), CHUNK):
            tokens = self.plain(
                list(texts[start : start + CHUNK]),
                truncation=True,
                max_length=max_length(self._encoding, role) - len(suffix_ids),
                add_special_tokens=not self._is_static,
            )
            token_ids += [ids[:end] + suffix_ids + (ids[end:] if end else []) for ids in tokens["input_ids"]]
            is_cut += [bool(encoding.overflowing) for encoding in tokens.encodings]
        return token_ids, is_cut

    def features(self, token_ids: list[list[int]], length: int, device: torch.device) -> dict[str, torch.Tensor]:
        """Return the model's input: texts padded to a length or, for a static model, concatenated."""
        if not self._is_static:
            return pad(self.plain, token_ids, length, device)
        starts = np.cumsum([0, *map(len, token_ids)])[:-1]
        ids = np.concatenate(token_ids)
        return {"input_ids": torch.from_numpy(ids).to(device), "offsets": torch.from_numpy(starts).to(device)}

    def _suffix_ids(self) -> list[int]:
        """Return the suffix's ids as they are after a text: alone, it might begin with a start-of-text token."""
        text, whole, alone = (
            list(self.plain(text, add_special_tokens=False)["input_ids"]) if text else []
            for text in ("a", "a" + self._encoding.query_suffix, self._encoding.query_suffix)
        )
        return whole[len(text) :] if whole[: len(text)] == text else alone

    def _num_special_at_end(self) -> int:
        mask = [] if self._is_static else self.plain("a", return_special_tokens_mask=True)["special_tokens_mask"]
        return next((count for count, is_special in enumerate(reversed(mask)) if not is_special), 0)


def max_length(encoding: Encoding, role: Role) -> int:
    """Return the most tokens a text may have, special tokens and suffix included."""
    return encoding.query_max_length if role == "queries" else encoding.document_max_length


def _wrap(tokenizer: tokenizers.Tokenizer) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # type: ignore[no-untyped-call]


def pad(tokenizer: Any, token_ids: list[list[int]], length: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Return input ids and attention mask, (texts, length), padded on the side that the tokenizer names."""
    input_ids = np.full((len(token_ids), length), tokenizer.pad_token_id or 0)  # decoders without one: 0, masked
    mask = np.zeros_like(input_ids)
    for row, ids in enumerate(token_ids):
        start = length - len(ids) if tokenizer.padding_side == "left" else 0
        input_ids[row, start : start + len(ids)] = ids
        mask[row, start : start + len(ids)] = 1
    return {
        "input_ids": torch.from_numpy(input_ids).to(device),
        "attention_mask": torch.from_numpy(mask).to(device),
    }
