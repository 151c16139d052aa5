"""From a classic program back to an expression that means the same."""
