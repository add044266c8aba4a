"""What `brainscore data fetch` and `brainscore models fetch` may be asked for."""

from pathlib import Path

from brainscore_itmaps.errors import UsageError


def refuse_options(file: Path | None, url: str | None, sha256: str | None) -> None:
    """Refuse what cannot be meant of a file that is to be fetched."""
    if file is not None and url is not None:
        raise UsageError("--from and --url exclude each other.", "Give the file, or the mirror.")
    if url is not None and not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is no address that can be downloaded from.", "Give one that begins with https://.")
    if sha256 is not None and not (len(sha256) == 64 and set(sha256.lower()) <= set("0123456789abcdef")):
        raise UsageError(f"{sha256!r} is not a sha256.", "It has 64 digits from 0 to 9 and a to f.")
