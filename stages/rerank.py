"""Stage `rerank`: join a model that finds documents and a cross-encoder that reorders them.

python -m stages.rerank NAME --first-stage DIR --reranker DIR --out DIR
"""

from pathlib import Path

from retune.core.cli import run
from retune.params.rerank import Rerank
from retune.retrieval.system_directory import write_rerank


def main(name: str, *, first_stage: Path, reranker: Path, out: Path) -> None:
    write_rerank(Rerank.read(f"rerank.{name}"), first_stage, reranker, out)


if __name__ == "__main__":
    run(main)
