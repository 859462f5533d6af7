"""The comparison as a page, pictures and JUnit XML. Measures nothing."""
