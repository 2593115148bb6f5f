"""A sweep trains each configuration once, scores it on dev alone, and reports what it found."""

import fcntl
import logging
import math
import re
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.sweeping import sweep as sweeping
from retune.sweeping.request import Request
from retune.sweeping.sweep import start, sweep
from retune.training.history import write_history
from tests.support.repository import REPOSITORY
from tests.sweeping.conftest import FOLDERS, change_params, request_of

pytestmark = pytest.mark.usefixtures("forks")
