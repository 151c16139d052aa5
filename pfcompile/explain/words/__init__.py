"""Each primitive in plain English: what it looks at, on the link type that it is for."""

from pfcompile.explain.words.term import NOTHING, describe, describe_list

__all__ = ["NOTHING", "describe", "describe_list"]
