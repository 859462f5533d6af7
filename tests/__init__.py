"""What the rooms promise."""

import os

# Before anything imports torch or numpy: test processes share the machine, and threads that wait for a core spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
