"""The graph made smaller, one rewrite a module; `pipeline.py` says in which order."""
