"""diffusion-gt: the Dagger module (`main`), the local command (`cli`), and the rooms that both call."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the repository, or of what an installed package ships
RUNNER = ROOT / "containers" / "runner"  # the folder that makes gt_runner importable
