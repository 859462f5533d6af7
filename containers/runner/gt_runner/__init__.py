"""Runs cases on official implementations. Knows no Dagger, no planner, and no serving engine but as a command."""
