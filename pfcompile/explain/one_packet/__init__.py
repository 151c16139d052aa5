"""One packet's way through a filter: why it matches, or does not."""
