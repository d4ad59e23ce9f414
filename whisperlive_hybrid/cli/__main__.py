"""`python -m whisperlive_hybrid.cli`."""

import sys

from whisperlive_hybrid.cli.program import main

sys.exit(main())
