"""What a run writes of its steps and epochs: CSV files that grow line by line."""

import csv
import io
from pathlib import Path

from brainscore_itmaps.files import replacing

STEPS = "log.csv"
EPOCHS = "epochs.csv"


class Log:
    """The CSV files of a run.

    Parameters
    ----------
    folder : Path
    start : int
        Steps that were done; lines after it, of a run that was killed, are taken away.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.folder = folder
        for name in (STEPS, EPOCHS):
            lines = self._lines(name)
            kept = [line for line in lines if float(line["step"]) <= start]
            if len(kept) < len(lines):
                with replacing(folder / name) as beside:
                    beside.write_text(_text(kept, header=True), encoding="utf-8")

    def write(self, name: str, numbers: dict[str, float]) -> None:
        """Add a line; numbers that are not finite stay empty."""
        file = self.folder / name
        header = not file.exists() or file.stat().st_size == 0
        with file.open("a", encoding="utf-8") as opened:
            opened.write(_text([{key: _shown(value) for key, value in numbers.items()}], header))

    def last(self, name: str) -> dict[str, float]:
        """The last line; empty where there is none."""
        lines = self._lines(name)
        return {key: float(value or "nan") for key, value in lines[-1].items()} if lines else {}

    def _lines(self, name: str) -> list[dict[str, str]]:
        """Complete ones: the end of a file that a killed run left may be half a line."""
        file = self.folder / name
        if not file.exists():
            return []
        text = file.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            with replacing(file) as beside:
                beside.write_text(whole, encoding="utf-8")
        return list(csv.DictReader(io.StringIO(whole)))


def _text(lines: list[dict[str, str]], header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0].keys() if lines else [], lineterminator="\n")
    if header and lines:
        writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else ("" if value != value else f"{value:.7g}")
