"""Independent answers to compare ours with."""
