"""The text of a filter expression, read into a tree and printed back."""
