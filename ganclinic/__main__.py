"""`python -m ganclinic` is the command line."""

import sys

from ganclinic.cli import main

if __name__ == "__main__":
    sys.exit(main())
