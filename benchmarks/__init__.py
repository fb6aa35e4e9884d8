"""Every speed figure that the documentation quotes, one command each. They run from a checkout."""
