"""Scripts of the stages in dvc.yaml; they import `src/` of the checkout they are in, even in DVC's temporary copies."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
