"""The parts that all help texts share: the option ``-h`` and two examples at the end."""

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""Context settings of the application and of each group; commands inherit them from their group."""


def examples(first: str, second: str) -> str:
    """Make the epilog of a help text from two complete command lines.

    Parameters
    ----------
    first, second : str
        Commands of at most 78 characters, so that a terminal with 80 columns shows each of them on one line.
    """
    return f"Examples\n\n{first}\n\n{second}"  # Typer 0.19 joins lines without an empty line between them
