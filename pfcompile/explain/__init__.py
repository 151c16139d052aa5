"""What an expression means, in words, with warnings; and what it does with packets."""
