"""Processes: a run's jobs side by side, their limits and ends, their events in words. Decides no bits."""
