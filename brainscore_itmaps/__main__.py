"""Run the command line as ``python -m brainscore_itmaps``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder: its files must not shadow modules; earlier imports need python -P
    from brainscore_itmaps.cli.start import main

    main()
