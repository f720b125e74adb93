"""What all tests share: the tests' own folder on the path, so that naive twins can be imported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
