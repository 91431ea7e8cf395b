"""`python -m wildsage` is the command `wildsage`."""

import sys

from wildsage.cli import main

sys.exit(main())
