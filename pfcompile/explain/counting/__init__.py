"""How often packets of captures take each way through a filter."""
