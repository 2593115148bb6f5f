"""Serve a model over HTTP, with OpenAI's embeddings API; a command, not a stage of dvc.yaml.

python -m stages.serve MODEL [--host ADDRESS] [--port NUMBER] [--fast]
"""

import os
from pathlib import Path

from retune.core.cli import run


def main(model: str, *, host: str = "127.0.0.1", port: str = "8080", fast: bool = False) -> None:
    os.environ["TQDM_DISABLE"] = "1"  # else each turn draws a progress bar; read when tqdm is loaded
    from retune.serving.serve import serve  # loads the libraries of the server

    serve(Path("models") / model, host, port, is_fast=fast)


if __name__ == "__main__":
    run(main)
