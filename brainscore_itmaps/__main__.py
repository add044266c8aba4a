"""Run the command line as ``python -m brainscore_itmaps``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder; what Python imported before this line, -P alone keeps from it
    from brainscore_itmaps.cli.start import main

    main()
