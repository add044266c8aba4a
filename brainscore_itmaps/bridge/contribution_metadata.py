"""Check ``metadata.yaml`` by Brain-Score's own contract and vocabularies."""

from collections.abc import Collection
from pathlib import Path

from brainscore_core.metadata.contract import MetadataError, load
from brainscore_core.metadata.vocabularies import vocabulary_warnings


def problems_of_metadata(file: Path, models: Collection[str]) -> str | None:
    """Find what Brain-Score does not accept in the metadata of models, or does not know.

    Parameters
    ----------
    file : Path
    models : collection of str
        Identifiers of the models that the clone registers.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "metadata.yaml")
    ...     _ = file.write_text("schema_version: '2.0'\\ndomain: vision\\nmodels: {}\\nlicence: MIT\\n")
    ...     problems_of_metadata(file, []) is None
    False
    """
    try:
        document = load(file.read_bytes(), "vision")
    except MetadataError as error:
        return f"Brain-Score's contract refuses it: {error}."
    if warnings := list(vocabulary_warnings(document)):
        return f"Brain-Score does not know a word: {warnings[0]}."
    for name, entry in document.get("models", {}).items():
        for base in (entry.get("lineage") or {}).get("base_models") or []:
            if base.get("identifier") and base["identifier"] not in models:
                return f"The base model {base['identifier']} of {name} is not registered."
    return None
