"""The artifact: manifest and folder, written, collected, summarised, attested, replayed. Knows no engine."""
