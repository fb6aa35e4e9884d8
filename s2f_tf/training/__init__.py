"""The two stages, and the loop that runs them."""
