"""Scripts of the stages in dvc.yaml; they import `src/` of the checkout they are in, even in DVC's temporary copies."""

import os
import sys
from pathlib import Path

WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""What OpenMP's threads do while they wait for each other: sleep, so that other work slows them in proportion."""

for name, value in WAITING.items():
    os.environ.setdefault(name, value)  # read by torch when it is imported

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
