"""Stand-in of the web UI's folders; nothing is written into them."""

from pathlib import Path

script_path = str(Path(__file__).resolve().parent.parent)
data_path = script_path
models_path = str(Path(script_path) / "models")
extensions_dir = str(Path(script_path) / "extensions")
extensions_builtin_dir = str(Path(script_path) / "extensions-builtin")
