"""Make a model of a LoRA adapter and its base, and print its entry for fetch; a command, not a stage of dvc.yaml.

python -m stages.merge_adapter ADAPTER --base DIR --out DIR
"""

from pathlib import Path

from retune.core.cli import run


def main(adapter: str, *, base: Path, out: Path) -> None:
    from retune.fetching.saved_adapter import merge_adapter  # loads the libraries of training

    print(merge_adapter(Path(adapter), base, out))


if __name__ == "__main__":
    run(main)
