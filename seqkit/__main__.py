"""``python -m seqkit``: the same command line as the installed ``seqkit``."""

from __future__ import annotations

import sys

from seqkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
