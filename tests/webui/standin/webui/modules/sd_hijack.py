"""Stand-in of the text encoder's bookkeeping that a job reads."""

import types

model_hijack = types.SimpleNamespace(comments=[], extra_generation_params={})
