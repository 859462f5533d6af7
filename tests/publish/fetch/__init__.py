"""Fetching published GT."""
