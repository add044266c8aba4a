"""Format numbers for readers; an absent number is a dash."""

ABSENT = "-"


def number_text(value: float | None, digits: int = 3, sign: str = "") -> str:
    """Format a number, and an absent one (NaN or None) as a dash.

    Parameters
    ----------
    value : float or None
    digits : int
        Number of decimals.
    sign : str
        "+" to show the sign of positive numbers, too.

    Examples
    --------
    >>> number_text(0.60587), number_text(float("nan")), number_text(0.12, 2, "+")
    ('0.606', '-', '+0.12')
    """
    return ABSENT if value is None or value != value else f"{value:{sign}.{digits}f}"


def interval_text(low: float, high: float, sign: str = "") -> str:
    """Format the ends of an interval, and an absent interval as a dash.

    Examples
    --------
    >>> interval_text(0.503, 0.706), interval_text(float("nan"), float("nan"))
    ('0.503 to 0.706', '-')
    """
    if low != low or high != high:
        return ABSENT
    return f"{number_text(low, sign=sign)} to {number_text(high, sign=sign)}"
