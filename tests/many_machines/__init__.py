"""Captures filtered by the processes of a cluster."""
