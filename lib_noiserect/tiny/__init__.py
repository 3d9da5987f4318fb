"""The built-in video model, and the toy world that it was trained on."""
