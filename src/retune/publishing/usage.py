"""The section of a card that says how to use a model without retune."""

from collections.abc import Sequence
from pathlib import Path

from retune.models.card import quoted
from retune.models.directory import ONNX, is_onnx, read_encoding, read_json, read_modules
from retune.models.encoding_settings import Encoding
from retune.models.scope import Scope, read_scope
from retune.publishing.contents import DOCUMENTS, QUERIES
from retune.publishing.judged import Judged

POOLINGS = {"mean": "vectors[0].mean(axis=0)", "cls": "vectors[0, 0]", "lasttoken": "vectors[0, -1]"}


def usage(judged: Judged, repo: str, published: Path) -> str:
    """Return the section without its heading.

    Args:
        judged: The model.
        repo: The repository on the Hub that it is loaded from; empty if there is none yet.
        published: The published folder, from which it is loaded then.
    """
    folder = judged.folder
    encoding, scope, place = read_encoding(folder), read_scope(folder), _folder(repo, published)
    if is_onnx(folder):
        cut = judged.parameters["dims"]
        lines = [_code(_onnx(folder, encoding, place, cut))] if _is_simple(folder, encoding, cut) else []
        return "\n".join([*lines, *_in_onnx(encoding), *_dimensions(judged)])
    lines = [_code(_tower(place)), *_sides(judged, scope)] if scope else [_code(_plain(repo or str(published)))]
    longest = max(encoding.query_max_length, encoding.document_max_length)
    lengths = f"{_lengths(encoding)} sentence-transformers cuts both to {longest}."
    prompts = f"- Prompts: {_prompts(encoding, '; `encode_query` and `encode_document` add them')}."
    return "\n".join([*lines, prompts, lengths, *_suffix(encoding), *_dimensions(judged)])


def _code(lines: str) -> str:
    return f"```python\n{lines}\n```\n"


def _folder(repo: str, published: Path) -> str:
    """Return the lines of Python that name the folder of the model."""
    if repo:
        return f'from huggingface_hub import snapshot_download\n\nfolder = snapshot_download("{repo}")'
    return f'\nfolder = "{published}"'


def _plain(place: str) -> str:
    return f"""from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{place}")
queries, documents = model.encode_query(["a query"]), model.encode_document(["a document"])
scores = model.similarity(queries, documents)"""


def _tower(place: str) -> str:
    return f"""from sentence_transformers import SentenceTransformer
{place}
query_model = SentenceTransformer(f"{{folder}}/{QUERIES}")
document_model = SentenceTransformer(f"{{folder}}/{DOCUMENTS}")
queries, documents = query_model.encode_query(["a query"]), document_model.encode_document(["a document"])
scores = query_model.similarity(queries, documents)"""


def _sides(judged: Judged, scope: Scope) -> list[str]:
    """Return which side of a query tower is which."""
    base = judged.parameters["guide"] if judged.parameters.get("teacher_documents") else judged.base
    lines = [
        f"- `{DOCUMENTS}/` encodes documents. It is `{base}`, unchanged, so vectors of documents that you have from "
        "it stay as they are.",
        f"- `{QUERIES}/` encodes queries for `{scope.dataset}`. Its vectors are compared with those of `{DOCUMENTS}/`.",
    ]
    if not scope.everywhere:
        lines.append(
            f"- Elsewhere: queries of other data sets were encoded by `{DOCUMENTS}/`, too, so the scores on those data "
            f"sets are the scores of `{base}`."
        )
    return lines


def _is_simple(folder: Path, encoding: Encoding, cut: int | None) -> bool:
    """Return whether pooling, a cut and normalisation are all that follows the transformer."""
    expected = ["Transformer", "Pooling", *([] if cut is None else ["Dense"]), "Normalize"]
    return encoding.pooling in POOLINGS and [kind for kind, _ in read_modules(folder)] == expected


def _onnx(folder: Path, encoding: Encoding, place: str, cut: int | None) -> str:
    """Return the lines of Python that encode texts one by one, so without padding."""
    lower = ".lower()" if read_json(folder / "sentence_bert_config.json").get("do_lower_case") else ""
    pooled = POOLINGS[encoding.pooling] + ("" if cut is None else f"[:{cut}]")
    query, document = (
        f"{encoding.query_prefix}a query{encoding.query_suffix}",
        f"{encoding.document_prefix}a document",
    )
    return f"""import numpy as np
import onnxruntime
from tokenizers import Tokenizer
{place}
tokenizer = Tokenizer.from_file(f"{{folder}}/tokenizer.json")
session = onnxruntime.InferenceSession(f"{{folder}}/{ONNX}")


def encode(text, max_length):
    tokenizer.enable_truncation(max_length)
    tokens = tokenizer.encode(text{lower})
    given = {{"input_ids": tokens.ids, "attention_mask": tokens.attention_mask, "token_type_ids": tokens.type_ids}}
    inputs = {{node.name: np.array([given[node.name]]) for node in session.get_inputs()}}
    [vectors] = session.run(None, inputs)
    vector = {pooled}
    return vector / np.linalg.norm(vector)


score = encode({query!r}, {encoding.query_max_length}) @ encode({document!r}, {encoding.document_max_length})"""


def _in_onnx(encoding: Encoding) -> list[str]:
    return [
        f"- `{ONNX}` returns the vectors of the tokens. What follows is in `modules.json`, in this order: pooling, "
        "further layers if there are some, and normalisation to length 1.",
        f"- Prompts: {_prompts(encoding, '; you add them yourself')}.",
        _lengths(encoding),
        *_suffix(encoding),
    ]


def _prompts(encoding: Encoding, who_adds_them: str) -> str:
    query, document = encoding.query_prefix, encoding.document_prefix
    if not (query or document):
        return "none"
    return f"{quoted(query)} before a query, {quoted(document)} before a document{who_adds_them}"


def _lengths(encoding: Encoding) -> str:
    lengths = f"{encoding.query_max_length} tokens and documents to {encoding.document_max_length}"
    return f"- Lengths: for the scores above, queries were cut to {lengths}."


def _suffix(encoding: Encoding) -> list[str]:
    suffix = encoding.query_suffix
    return [f"- Suffix: {quoted(suffix)} after a query, which you add yourself."] if suffix else []


def _dimensions(judged: Judged) -> list[str]:
    """Return how vectors may be shortened, if the model was trained for that."""
    dims: Sequence[int] | None = judged.all[-1].parameters.get("matryoshka_dims")
    if not dims or (judged.is_export and judged.parameters["dims"] is not None):
        return []
    numbers = ", ".join(map(str, dims))
    return [f"- Matryoshka: also trained for {numbers} dimensions; keep as many first ones, and scale to length 1."]
