"""Numbers and names of protocols, as rows; `python -m pfcompile.facts` prints the link types."""
