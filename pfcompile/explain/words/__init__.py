"""Each primitive in plain English: what it looks at, on the link type that it is for."""

from pfcompile.explain.words.term import describe, describe_list

__all__ = ["describe", "describe_list"]
