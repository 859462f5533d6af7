"""Opens every image that the product reads, decides what a file may hold, and names what a case publishes."""
