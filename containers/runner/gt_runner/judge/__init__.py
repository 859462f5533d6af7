"""Judges images that are there: quality gate, comparison, report. No result depends on it, so no key holds its code."""
