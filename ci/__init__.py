"""diffusion-gt: ground truth for diffusion serving engines. The planning core; it knows no Dagger, torch or numpy."""
