"""Stage scripts of dvc.yaml. They import the `src/` of their own checkout, also in DVC's temporary copies."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
