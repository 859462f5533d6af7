"""The quality gate: is each image of an artifact whole, sharp, in its place. Knows no serving engine's thresholds."""
