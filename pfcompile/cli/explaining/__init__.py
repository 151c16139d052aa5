"""What `pfcompile explain` prints."""
