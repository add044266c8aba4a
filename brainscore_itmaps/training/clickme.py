"""Training images with human maps from the ClickMe data set, or from TFRecord shards in its format."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch

from brainscore_itmaps.data.clickme import clickme_offsets, example_at
from brainscore_itmaps.data.clickme_shards import shard_files as shard_files
from brainscore_itmaps.text import short_repr
from brainscore_itmaps.training.batches import Example


@short_repr
@dataclass(frozen=True)
class Shards:
    """Records of several TFRecord files, numbered consecutively.

    Attributes
    ----------
    files : tuple of Path
    offsets : tuple of tuple of int
        Byte offsets of the records in each file.
    ends : tuple of int
        Number of records up to the end of each file.
    """

    files: tuple[Path, ...]
    offsets: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of records."""
        return self.ends[-1]

    def read(self, number: int) -> Example:
        """Read one image with its label and human map."""
        file, record = self._file_and_record(number)
        example = example_at(self.files[file], self.offsets[file][record])
        image = torch.from_numpy(example.image).permute(2, 0, 1)
        return Example(image, torch.from_numpy(example.heatmap), example.label)

    def name(self, number: int) -> str:
        """Return the name of a record: its file, and its number in the file."""
        file, record = self._file_and_record(number)
        return f"{self.files[file].name} record {record}"

    def _file_and_record(self, number: int) -> tuple[int, int]:
        """Find the index of a record's file, and the record's number in that file."""
        file = bisect_right(self.ends, number)
        return file, number - (self.ends[file - 1] if file else 0)


def clickme_source(name: str) -> Shards:
    """Index the records of a ClickMe split, a TFRecord file or a folder, as a numbered source of training images.

    Parameters
    ----------
    name : str
        As for :func:`shard_files`.

    Raises
    ------
    DataError
        When there are no records, or a file is damaged.
    """
    files = shard_files(name)
    offsets = tuple(tuple(clickme_offsets(file)) for file in files)
    ends = tuple(accumulate(len(offsets_of_file) for offsets_of_file in offsets))
    return Shards(tuple(files), offsets, ends)
