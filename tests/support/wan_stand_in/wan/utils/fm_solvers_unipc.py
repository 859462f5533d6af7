"""The scheduler that `unipc` names; Diffusers has the original."""

from typing import Any

from diffusers import UniPCMultistepScheduler


class FlowUniPCMultistepScheduler(UniPCMultistepScheduler):  # type: ignore[misc]  # without types
    """Steps as its base does."""

    def step(
        self, model_output: Any, timestep: Any, sample: Any, return_dict: bool = True, generator: Any = None
    ) -> Any:
        """One step; the solver draws nothing from the generator."""
        return super().step(model_output, timestep, sample, return_dict=return_dict)
