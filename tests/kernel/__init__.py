"""Sockets, interfaces and captures, on this kernel."""
