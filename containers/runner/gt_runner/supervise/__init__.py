"""Processes: a run's jobs one after the other, their limits and ends, their events in words. Decides no bits."""
