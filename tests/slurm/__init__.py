"""Runs on a real Slurm."""
