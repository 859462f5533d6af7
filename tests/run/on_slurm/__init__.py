"""The way to a Slurm cluster."""
