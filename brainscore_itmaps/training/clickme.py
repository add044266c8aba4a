"""ClickMe, and shards in its format, as training images."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch

from brainscore_itmaps.data.clickme import example_at
from brainscore_itmaps.data.clickme_shards import SPLITS, clickme_files
from brainscore_itmaps.data.tfrecords import record_offsets
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.training.batches import Example

SUFFIX = ".tfrecords"


@dataclass(frozen=True)
class Shards:
    """Records of several files, numbered consecutively.

    Attributes
    ----------
    files : tuple of Path
    offsets : tuple of tuple of int
        Of each file's records.
    ends : tuple of int
        How many records there are up to the end of each file.
    """

    files: tuple[Path, ...]
    offsets: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of records."""
        return self.ends[-1]

    def read(self, number: int) -> Example:
        """Read one example."""
        file, record = self._place(number)
        found = example_at(self.files[file], self.offsets[file][record])
        image = torch.from_numpy(found.image).permute(2, 0, 1)
        return Example(image, torch.from_numpy(found.heatmap), found.label)

    def name(self, number: int) -> str:
        """Return the file and the number of a record."""
        file, record = self._place(number)
        return f"{self.files[file].name} record {record}"

    def _place(self, number: int) -> tuple[int, int]:
        file = bisect_right(self.ends, number)
        return file, number - (self.ends[file - 1] if file else 0)


def shards_of(named: str) -> list[Path]:
    """List the files of a configuration.

    Parameters
    ----------
    named : str
        A split that was fetched, a file of records, or a folder of them.

    Raises
    ------
    DataError
        When there are none.
    """
    if named in SPLITS:
        return list(clickme_files(named))
    place = Path(named).expanduser()
    files = [place] if place.is_file() else sorted(place.glob(f"*{SUFFIX}"))
    if not files:
        raise DataError(
            f"There are no images with human maps in {named}.",
            f"Name a split of ClickMe ({', '.join(SPLITS)}), or a file or folder of {SUFFIX} files.",
        )
    return files


def clickme_source(named: str) -> Shards:
    """Return the records of a configuration as a numbered source.

    Parameters
    ----------
    named : str
        See :func:`shards_of`.

    Raises
    ------
    DataError
        When there are none, or a file is damaged.
    """
    files = shards_of(named)
    offsets = tuple(tuple(record_offsets(file)) for file in files)
    ends = tuple(accumulate(len(each) for each in offsets))
    if not ends[-1]:
        raise DataError(f"There are no records in {named}.", "Name files with records.")
    return Shards(tuple(files), offsets, ends)
