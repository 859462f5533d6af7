"""Opens every image that the product reads, and decides what a file may hold. Knows neither cases nor quality."""
