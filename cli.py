"""Launcher: `python cli.py …` in a checkout is `n1store …` of the checkout's environment."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    installed = Path(__file__).resolve().parent / ".venv" / "bin" / "n1store"
    if sys.prefix == sys.base_prefix and installed.exists():
        os.execv(installed, [str(installed), *sys.argv[1:]])
    # The installed package has the compiled core; the folder of this file may lack it.
    sys.path.pop(0)
    try:
        from n1store.cli.commands import main
    except ImportError as error:
        sys.exit(f"n1store cannot start ({error}): run `make setup` first")
    main()
