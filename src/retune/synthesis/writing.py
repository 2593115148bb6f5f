"""Write the files of a synthetic data set, with where its documents and its queries come from."""

from pathlib import Path

from retune.core.files import write_json
from retune.core.provenance import Origin, read_origins, write_origins
from retune.core.records import write_dataset, write_table
from retune.params.synthesize import Synthesize
from retune.synthesis.synthesize import Synthetic


def write_synthetic(folder: Path, synthetic: Synthetic, source: Path, params: Synthesize) -> None:
    """Write a synthetic data set: what any data set has, the rejected queries, and what the reports show.

    The reports read the audit here, because there may be no other folder of audits that DVC could depend on.

    Args:
        folder: The folder of the data set.
        synthetic: What to write.
        source: The folder of the data set whose documents were used.
        params: How the queries were made.
    """
    write_dataset(folder, synthetic.dataset)
    write_table(folder / "rejected.parquet", synthetic.rejected)
    write_table(folder / "samples.parquet", synthetic.samples)
    write_json(folder / "audit.json", synthetic.audit)
    write_origins(folder, [*read_origins(source), origin(folder.name, params)])


def origin(name: str, params: Synthesize) -> Origin:
    """Return the origin of the queries; a language model's terms may restrict what they are used for."""
    if params.llm is None or params.method != "llm":
        return Origin(
            "synthetic queries", name, "as the documents", f"taken from the documents of {params.dataset}", ""
        )
    written = f"written by {params.llm.model} for the documents of {params.dataset}"
    return Origin("synthetic queries", name, "", written, "")
