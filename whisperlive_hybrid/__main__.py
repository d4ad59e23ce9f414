"""`python -m whisperlive_hybrid`."""

import sys

from whisperlive_hybrid.cli.program import main

sys.exit(main())
