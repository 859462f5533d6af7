"""Calls the judge, as a process on this machine or in a container. The measuring itself is in gt_judge."""
