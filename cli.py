"""The command line from a checkout, nothing installed: ``python cli.py …`` or ``torchrun cli.py …``."""

from __future__ import annotations

import sys

from seqkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
