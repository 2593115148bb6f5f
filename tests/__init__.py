"""Tests of the packages, of the pipeline and of the documents.

Threads that wait leave the core to other processes: those of `pytest -n` share the cores. Libraries read the variable when
they are imported, so it is set before all else.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
