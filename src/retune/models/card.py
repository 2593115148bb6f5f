"""Sections of a model's card: how to load it, how it reads texts, and what it was made from."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from retune.core.markdown import table
from retune.core.provenance import Origin
from retune.models.directory import is_cross_encoder, is_onnx, pair_max_length
from retune.models.encoding_settings import Encoding
from retune.models.scope import QUERY_MODEL, SCOPE, VECTORS, read_scope

CARD = "model-card.md"
LICENCE = "No licence is granted here: that of this model follows from those above."


def loading_section(name: str, encoding: Encoding, folder: Path) -> str:
    """Return the section that says how to load a model, and how it reads texts.

    Args:
        name: The name of the model.
        encoding: Its encoding settings.
        folder: Its directory.
    """
    if is_cross_encoder(folder):
        return _pair_loading(name, encoding)
    lines = [
        f"""## Loading

```python
{_onnx_loading(name) if is_onnx(folder) else _loading(name, folder)}
```
""",
        f"Before a query comes {quoted(encoding.query_prefix)}, before a document "
        f"{quoted(encoding.document_prefix)}; both are saved as prompts.",
        f"A query is cut to {encoding.query_max_length} tokens, a document to {encoding.document_max_length}.",
    ]
    if encoding.query_suffix:
        lines.append(f"After a query comes {quoted(encoding.query_suffix)}, which you add yourself.")
    if (folder / SCOPE / QUERY_MODEL / "adapter").is_dir():
        lines.append(f"The weights are those of the merged model; `{SCOPE}/{QUERY_MODEL}/adapter/` holds the adapter.")
    if (folder / "adapter").is_dir():
        lines.append("The weights are those of the merged model; `adapter/` holds the adapter alone.")
    return "\n".join(lines)


def _pair_loading(name: str, encoding: Encoding) -> str:
    """Return the section of a cross-encoder."""
    document = quoted(encoding.document_prefix)
    return f"""## Loading

```python
from sentence_transformers import CrossEncoder

model = CrossEncoder("models/{name}")
scores = model.predict([("a query", "a document")])
```

It has no vectors. Before a query comes {quoted(encoding.query_prefix)}, which is saved as the default prompt; before a
document comes {document}{"" if not encoding.document_prefix else ", which you add yourself"}.
A query and a document together are cut to {pair_max_length(encoding)} tokens; the longer one is cut first."""


def _loading(name: str, folder: Path) -> str:
    """Return the lines of Python that score a document for a query."""
    scope = read_scope(folder)
    documents = 'model.encode_document(["a document"])'
    load = f'from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer("models/{name}")'
    if scope is None:
        return f'{load}\nscores = model.encode_query(["a query"]) @ {documents}.T'
    if (folder / SCOPE / QUERY_MODEL).is_dir():
        queries = "all data sets" if scope.everywhere else f"{scope.dataset}; others go through the model"
        return (
            f"{load}  # for documents\n"
            f'query_model = SentenceTransformer("models/{name}/{SCOPE}/{QUERY_MODEL}")  # for queries of {queries}\n'
            f'scores = query_model.encode_query(["a query"]) @ {documents}.T'
        )
    return (
        f"import numpy as np\n{load}  # the base, for queries\n"
        f'documents = np.load("models/{name}/{SCOPE}/{VECTORS}")  # of {scope.dataset}, in the order of its corpus\n'
        'scores = model.encode_query(["a query"]) @ documents.T'
    )


def _onnx_loading(name: str) -> str:
    """Return the same lines for a model that ONNX Runtime runs."""
    return f"""from pathlib import Path

from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder

model = Encoder.load(Path("models/{name}"), Compute(device="cpu", token_budget=4096))
scores = model.encode_queries(["a query"], [None]) @ model.encode_documents(["a document"]).T"""


def origins_table(origins: Iterable[Origin]) -> str:
    """Return origins and their licences as a table."""
    rows = [[origin.kind, origin.name, origin.licence or "not stated", origin.source, origin.use] for origin in origins]
    return card_table(["kind", "name", "licence", "source", "use"], rows)


def quoted(value: object) -> str:
    """Return a value as Python writes it, as code."""
    return f"`{value!r}`"


def card_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    escaped = [[str(value).replace("|", "\\|") for value in row] for row in rows]
    return "\n".join(table(header, escaped, num_texts=len(header)))
