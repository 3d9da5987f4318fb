"""Stand-in of the folders again, under the name that is importable before anything else."""

from pathlib import Path

script_path = str(Path(__file__).resolve().parent.parent)
data_path = script_path
models_path = str(Path(script_path) / "models")
extensions_dir = str(Path(script_path) / "extensions")
extensions_builtin_dir = str(Path(script_path) / "extensions-builtin")
