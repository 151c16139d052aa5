"""The decision graph of a filter, its values, its text and its check."""
