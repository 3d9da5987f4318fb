"""Stand-in of the list of extensions; a test appends what is to be installed."""

extensions = []


def active():
    return [entry for entry in extensions if entry.enabled]
