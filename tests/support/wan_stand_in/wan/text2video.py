"""The text-to-video pipeline; it keeps what it was called with, for a test to look at."""

from typing import Any, ClassVar

import torch
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are another package

from .modules.model import WanModel


class WanT2V:
    """The signatures of the official class."""

    made: ClassVar[list["WanT2V"]] = []

    def __init__(
        self,
        config: Any,
        checkpoint_dir: Any,
        device_id: Any = 0,
        rank: Any = 0,
        t5_fsdp: Any = False,
        dit_fsdp: Any = False,
        use_usp: Any = False,
        t5_cpu: Any = False,
    ) -> None:
        self.options = {name: value for name, value in locals().items() if name != "self"}
        self.calls: list[dict[str, Any]] = []
        self.model = WanModel()
        WanT2V.made.append(self)

    def generate(
        self,
        input_prompt: Any,
        size: Any = (1280, 720),
        frame_num: Any = 81,
        shift: Any = 5.0,
        sample_solver: Any = "unipc",
        sampling_steps: Any = 50,
        guide_scale: Any = 5.0,
        n_prompt: Any = "",
        seed: Any = -1,
        offload_model: Any = True,
    ) -> torch.Tensor:
        """Attention over noise, once a step, as a video of (channels, frames, height, width) in -1..1."""
        self.calls.append({name: value for name, value in locals().items() if name != "self"})
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(3, (frame_num - 1) // 4 * 4 + 1, size[1], size[0], generator=generator)
        context = torch.randn(1, len(input_prompt), 1, 8, generator=generator)
        for _ in tqdm(range(sampling_steps)):
            noise = noise + self.model(noise, context)
        return noise.clamp(-1, 1)
