"""Types that many signatures name."""

from typing import Any

import numpy as np

Array = Any  # of numpy or of torch: a loss is one formula for both
Seed = int | np.random.RandomState | None
