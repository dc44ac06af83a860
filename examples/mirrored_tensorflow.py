"""A placeholder, to be overwritten."""
