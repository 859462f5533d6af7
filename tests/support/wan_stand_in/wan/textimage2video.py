"""The text-and-image-to-video pipeline of Wan2.2; it keeps what it was called with, for a test to look at."""

from typing import Any, ClassVar

import numpy as np
import torch
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are another package

from .modules.model import WanModel
from .modules.t5 import T5EncoderModel
from .modules.vae2_2 import Wan2_2_VAE
from .utils.fm_solvers import FlowDPMSolverMultistepScheduler
from .utils.fm_solvers_unipc import FlowUniPCMultistepScheduler


class WanTI2V:
    """The signatures of the official class."""

    made: ClassVar[list["WanTI2V"]] = []

    def __init__(
        self,
        config: Any,
        checkpoint_dir: Any,
        device_id: Any = 0,
        rank: Any = 0,
        t5_fsdp: Any = False,
        dit_fsdp: Any = False,
        use_sp: Any = False,
        t5_cpu: Any = False,
        init_on_cpu: Any = True,
        convert_model_dtype: Any = False,
    ) -> None:
        self.options = {name: value for name, value in locals().items() if name != "self"}
        self.calls: list[dict[str, Any]] = []
        self.model = WanModel()
        self.text_encoder = T5EncoderModel()
        self.vae = Wan2_2_VAE()
        WanTI2V.made.append(self)

    def generate(
        self,
        input_prompt: Any,
        img: Any = None,
        size: Any = (1280, 704),
        max_area: Any = 704 * 1280,
        frame_num: Any = 81,
        shift: Any = 5.0,
        sample_solver: Any = "unipc",
        sampling_steps: Any = 50,
        guide_scale: Any = 5.0,
        n_prompt: Any = "",
        seed: Any = -1,
        offload_model: Any = True,
    ) -> torch.Tensor:
        """As `WanT2V.generate`, but that an image is the first frame at every step."""
        self.calls.append({name: value for name, value in locals().items() if name != "self"})
        context, other = self.text_encoder([input_prompt], "cpu"), self.text_encoder([n_prompt], "cpu")
        generator = torch.Generator().manual_seed(seed)
        width, height = size if img is None else img.size
        noise = torch.randn(3, (frame_num - 1) // 4 * 4 + 1, height, width, generator=generator)
        first = noise[:, :1] if img is None else self.vae.encode([_of_the_image(img)])[0]
        solvers: dict[str, Any] = {"unipc": FlowUniPCMultistepScheduler, "dpm++": FlowDPMSolverMultistepScheduler}
        scheduler = solvers[sample_solver]()
        scheduler.set_timesteps(sampling_steps)
        latents = torch.cat([first, noise[:, 1:]], dim=1)
        for t in tqdm(scheduler.timesteps):
            seen, unseen = self.model(latents, context[0]), self.model(latents, other[0])
            guided = (unseen + guide_scale * (seen - unseen)).unsqueeze(0)
            step = scheduler.step(guided, t, latents.unsqueeze(0), return_dict=False, generator=generator)
            latents = step[0].squeeze(0) if img is None else torch.cat([first, step[0].squeeze(0)[:, 1:]], dim=1)
        return self.vae.decode([latents])[0]


def _of_the_image(img: Any) -> torch.Tensor:
    """One frame of (channels, 1, height, width) in -1..1."""
    return torch.from_numpy(np.asarray(img) / 127.5 - 1).float().permute(2, 0, 1).unsqueeze(1)
