"""diffusion-gt: the Dagger module (`main`), the local command (`cli`), and the rooms that both call."""

from pathlib import Path

SHIPPED = Path(__file__).resolve().parent / "shipped"  # in an installed package: cases and containers
ROOT = SHIPPED if SHIPPED.is_dir() else Path(__file__).resolve().parent.parent  # else the repository
RUNNER = ROOT / "containers" / "runner"  # the folder that makes gt_runner importable
