"""List what to cite for a page: recordings, the question, Brain-Score, models and this software."""

from collections.abc import Iterable
from typing import NamedTuple

from brainscore_itmaps.benchmark.catalogue import ARCARO_2020, XU_2014
from brainscore_itmaps.cache import package_versions
from brainscore_itmaps.models.zoo import ZOO

LINSLEY_2023 = """@inproceedings{linsley2023performance,
  title={Performance-optimized deep neural networks are evolving into worse models of inferotemporal visual cortex},
  author={Linsley, Drew and Rodriguez, Ivan F and Fel, Thomas and Arcaro, Michael and Sharma, Saloni and
    Livingstone, Margaret and Serre, Thomas},
  booktitle={Advances in Neural Information Processing Systems},
  volume={36},
  year={2023},
  doi={10.48550/arXiv.2306.03779}
}"""
LINSLEY_2025 = """@article{linsley2025better,
  title={Better artificial intelligence does not mean better models of biology},
  author={Linsley, Drew and Feng, Pinyuan and Serre, Thomas},
  journal={Trends in Cognitive Sciences},
  year={2025},
  doi={10.1016/j.tics.2025.11.016}
}"""
SCHRIMPF_2018 = """@article{schrimpf2018brainscore,
  title={Brain-Score: Which Artificial Neural Network for Object Recognition is most Brain-Like?},
  author={Schrimpf, Martin and Kubilius, Jonas and Hong, Ha and Majaj, Najib J. and Rajalingham, Rishi and
    Issa, Elias B. and Kar, Kohitij and Bashivan, Pouya and Prescott-Roy, Jonathan and Geiger, Franziska and
    Schmidt, Kailyn and Yamins, Daniel L. K. and DiCarlo, James J.},
  journal={bioRxiv},
  year={2018},
  doi={10.1101/407007}
}"""
SCHRIMPF_2020 = """@article{schrimpf2020integrative,
  title={Integrative Benchmarking to Advance Neurally Mechanistic Models of Human Intelligence},
  author={Schrimpf, Martin and Kubilius, Jonas and Lee, Michael J. and Murty, N. Apurva Ratan and
    Ajemian, Robert and DiCarlo, James J.},
  journal={Neuron},
  volume={108},
  number={3},
  pages={413--423},
  year={2020},
  doi={10.1016/j.neuron.2020.07.040}
}"""
WIGHTMAN_2019 = """@misc{wightman2019timm,
  title={PyTorch Image Models},
  author={Wightman, Ross},
  publisher={GitHub},
  year={2019},
  doi={10.5281/zenodo.4414861}
}"""
SOFTWARE = """@software{{brainscore_itmaps,
  title={{brainscore_itmaps}},
  author={{{{the brainscore_itmaps developers}}}},
  version={{{}}},
  note={{A Brain-Score plugin, MIT licence}}
}}"""
ENTRIES = {
    "10.7554/eLife.53798": ARCARO_2020,
    "10.1167/14.1.28": XU_2014,
    "2306.03779": LINSLEY_2023,
    "10.1016/j.tics.2025.11.016": LINSLEY_2025,
}
"""BibTeX entries of works that stored citations name in words, by a part of these words."""
MOST_NAMES = 3
"""Largest number of models that are named beside an entry that they share."""


class Citation(NamedTuple):
    """A work to cite.

    Attributes
    ----------
    what : str
        What the work is cited for.
    text : str
        Citation in words; empty if there is only a BibTeX entry.
    bibtex : str
        BibTeX entry; empty if none is known.
    """

    what: str
    text: str
    bibtex: str


def citations_of(
    texts: Iterable[str],
    models: Iterable[str] = (),
    *,
    maps: bool = False,
    brain_score: bool = True,
    version: str | None = None,
) -> list[Citation]:
    """List works to cite, each BibTeX entry once.

    Parameters
    ----------
    texts : iterable of str
        Stored citations of the data, in words or as BibTeX; empty ones are left out.
    models : iterable of str
        Names of models; models of the zoo have entries of their own, and models of timm share one.
    maps : bool
        Add the work that asked how well models predict maps of IT.
    brain_score : bool
        Add Brain-Score.
    version : str, optional
        Version of this software; by default that which is installed.

    Examples
    --------
    >>> for work in citations_of(["", "Arcaro, Ponce & Livingstone (2020), https://doi.org/10.7554/eLife.53798"]):
    ...     print(work.what, work.bibtex.partition("{")[2].partition(",")[0])
    data arcaro2020neurons
    Brain-Score schrimpf2018brainscore
    Brain-Score schrimpf2020integrative
    this software brainscore_itmaps
    """
    works = [_of_data(text.strip()) for text in dict.fromkeys(texts) if text.strip()]
    works += [Citation("question and method", "", LINSLEY_2023)] if maps else []
    works += [Citation("Brain-Score", "", entry) for entry in (SCHRIMPF_2018, SCHRIMPF_2020) if brain_score]
    works += _of_models(models)
    version = version or package_versions(("brainscore_itmaps",))["brainscore_itmaps"]
    works.append(Citation("this software", "", SOFTWARE.format(version)))
    entries: set[str] = set()
    unique = []
    for work in works:
        if work.bibtex not in entries:
            unique.append(work)
        elif work.text:
            unique.append(work._replace(bibtex=""))
        entries |= {work.bibtex} - {""}
    return unique


def _of_data(text: str) -> Citation:
    if text.startswith("@"):
        return Citation("data", "", text)
    return Citation("data", text, next((entry for part, entry in ENTRIES.items() if part in text), ""))


def _of_models(models: Iterable[str]) -> list[Citation]:
    """List the entries of models, with the models that share each of them."""
    named: dict[str, list[str]] = {}
    for model in dict.fromkeys(models):
        entry = ZOO[model].citation if model in ZOO else WIGHTMAN_2019 if model.startswith("timm:") else ""
        if entry:
            named.setdefault(entry, []).append(model)
    return [Citation(_models_text(names), "", entry) for entry, names in named.items()]


def _models_text(names: list[str]) -> str:
    if len(names) > MOST_NAMES:
        return f"{len(names)} models, {names[0]} among them"
    return f"model{'s' * (len(names) > 1)} {', '.join(names)}"
