"""``python -m clone``: the command line."""

import sys

try:
    from clone.cli import main

    sys.exit(main())
except KeyboardInterrupt:  # while the libraries are still being imported
    sys.exit("Stopped.")
