"""Judges an artifact by its images and records: quality gate, comparison, report. Generates nothing."""
