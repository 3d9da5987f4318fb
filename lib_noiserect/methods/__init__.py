"""Methods that are related to noise rectification and built on the same pieces."""
