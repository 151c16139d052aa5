"""From the tree of an expression and a link type to a graph of tests on packet bytes."""
