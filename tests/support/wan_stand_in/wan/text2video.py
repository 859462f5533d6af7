"""The text-to-video pipeline; it keeps what it was called with, for a test to look at."""

from typing import Any, ClassVar

import torch
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are another package

from .modules.model import WanModel
from .modules.t5 import T5EncoderModel
from .modules.vae import WanVAE
from .utils.fm_solvers import FlowDPMSolverMultistepScheduler
from .utils.fm_solvers_unipc import FlowUniPCMultistepScheduler


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
        self.text_encoder = T5EncoderModel()
        self.vae = WanVAE()
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
        context, other = self.text_encoder([input_prompt], "cpu"), self.text_encoder([n_prompt], "cpu")
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(3, (frame_num - 1) // 4 * 4 + 1, size[1], size[0], generator=generator)
        solvers: dict[str, Any] = {"unipc": FlowUniPCMultistepScheduler, "dpm++": FlowDPMSolverMultistepScheduler}
        scheduler = solvers[sample_solver]()
        scheduler.set_timesteps(sampling_steps)
        latents = [noise]
        for t in tqdm(scheduler.timesteps):
            seen, unseen = self.model(latents[0], context[0]), self.model(latents[0], other[0])
            guided = (unseen + guide_scale * (seen - unseen)).unsqueeze(0)
            step = scheduler.step(guided, t, latents[0].unsqueeze(0), return_dict=False, generator=generator)
            latents = [step[0].squeeze(0)]
        return self.vae.decode(latents)[0]
