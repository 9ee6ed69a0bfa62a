"""Files: which there are, how far each was read, and what its lines say."""
