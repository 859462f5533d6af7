"""The scheduler that `dpm++` names; Diffusers has the original."""

from diffusers import FlowMatchEulerDiscreteScheduler


class FlowDPMSolverMultistepScheduler(FlowMatchEulerDiscreteScheduler):  # type: ignore[misc]  # without types
    """Steps as its base does."""
