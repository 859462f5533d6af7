"""Measures the runner and the planner against what they could not do without."""
