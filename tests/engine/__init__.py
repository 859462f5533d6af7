"""What the Dagger module promises, on a real engine; skipped where none answers."""
