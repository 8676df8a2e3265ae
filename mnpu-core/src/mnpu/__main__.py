"""``python -m mnpu`` is ``mnpu``."""

from mnpu.cli import main

main()
