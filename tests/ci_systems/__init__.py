"""What runs in somebody's CI, and is really executed here."""
