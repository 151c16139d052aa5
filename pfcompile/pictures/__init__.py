"""Trees, graphs and programs drawn: DOT, SVG, PNG and text."""
