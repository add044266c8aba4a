"""Run the command line as ``python -m brainscore_itmaps``."""

from brainscore_itmaps.cli.start import main

if __name__ == "__main__":
    main()
