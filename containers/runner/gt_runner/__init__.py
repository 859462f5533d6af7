"""Runs jobs of ground-truth cases on the official implementation of a model. Knows no planner, no Dagger, no engine."""
