"""s2f_tf: hears a voice and draws faces that could belong to it."""

__version__ = "0.1.0"
