"""A program run step by step, forwards and backwards."""
