"""Files that somebody edited, with hashes that fit again: so the checks behind the hashes are tested."""

import json

import numpy as np

from brainscore_itmaps.benchmark.saved import CHECKSUMS, with_checksums
from brainscore_itmaps.cache import CONTENT, content_of


def rewrite(file, changes):
    """Write the JSON of a result with these values."""
    plain = changes if "model" in changes and "arrays" in changes else json.loads(file.read_text()) | changes
    file.write_text(json.dumps(with_checksums({name: value for name, value in plain.items() if name != CHECKSUMS})))


def rewrite_entry(file, changes):
    """Write an entry of the cache with these arrays."""
    with np.load(file) as opened:
        entry = {name: opened[name] for name in opened if name != CONTENT}
    entry |= {name: np.asarray(array) for name, array in changes(entry).items()}
    np.savez(file, **entry, **{CONTENT: content_of(file.stem, entry)})
