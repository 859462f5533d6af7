"""Draws, trains and measures the tiny models of the smoke cases. Nothing of it is needed to run them."""
