"""The comparison with published GT and of a serving engine's output: pairs, measures, thresholds, grades."""
