"""Tests of the writer of traces."""
