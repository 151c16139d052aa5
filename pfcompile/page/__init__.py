"""The page of `pfcompile serve`."""
