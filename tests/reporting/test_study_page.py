"""Names of rows, marks of groups and the sentence on simulated recordings of the page of a comparison."""

from importlib.metadata import metadata

import pandas as pd
import yaml
from pybtex.database.input import bibtex

from brainscore_itmaps.models.timm_models import GROUPS
from brainscore_itmaps.reporting.citations import citations_of
from brainscore_itmaps.reporting.study_page import DIFFERENCES, mark_of_group, names_of_rows


def names(*rows):
    shared = dict.fromkeys(DIFFERENCES, "") | {"model": "net", "random": False}
    return list(map(str, names_of_rows(pd.DataFrame([shared | row for row in rows]))))


def test_colour_and_outline_of_groups_are_pairwise_different():
    marks = [mark_of_group(number) for number in range(64)]
    assert len(set(marks)) == 64
    of_groups = marks[: len(GROUPS)]
    assert len({mark.outline for mark in of_groups}) == len(GROUPS)  # without colours, too
    assert "#000000" not in {mark.colour for mark in marks}  # which is not visible on a dark page


def test_a_name_has_no_more_than_what_distinguishes_its_row():
    assert names({}, {"model": "other", "layer": "conv1"}) == ["net", "other"]
    assert names({"random": True, "weights": "random (seed 1)"}) == ["net (random (seed 1))"]
    assert names({"array": "PL", "layer": "conv1"}, {"array": "ML", "layer": "conv2"}) == ["net, PL", "net, ML"]
    assert names({"asked": ""}, {"asked": "50-90"}) == ["net", "net, 50-90"]
    files = [{"weights": f"file /home/lab/run {run}/w.pt (sha256 {run}23)", "result": f"result{run}"} for run in (1, 2)]
    assert names(*files, {"weights": "published"}) == ["net, w.pt, result1", "net, w.pt, result2", "net, published"]
    assert names({"result": "net--a"}, {"result": "net--a--2"}) == ["net, net--a", "net, net--a--2"]


def test_an_entry_that_several_works_share_is_cited_once():
    texts = ["Arcaro (2020), 10.7554/eLife.53798", "Simulated after Arcaro (2020), 10.7554/eLife.53798", "", " "]
    works = citations_of(texts, ["timm:a", "timm:b", "mine"], maps=True, version="9.8.7")
    assert [work.text for work in works][:2] == texts[:2]
    entries = bibtex.Parser().parse_string("\n".join(work.bibtex for work in works)).entries  # refuses repeated keys
    assert len(entries) == sum(bool(work.bibtex) for work in works) == 6
    assert [work.what for work in works if "timm" in work.bibtex] == ["models timm:a, timm:b"]
    assert entries["brainscore_itmaps"].fields["version"] == "9.8.7"
    assert not any(work.what == "Brain-Score" for work in citations_of(texts, brain_score=False))


def test_the_software_is_cited_as_in_its_citation_file(request):
    stated = yaml.safe_load((request.config.rootpath / "CITATION.cff").read_text(encoding="utf-8"))
    (entry,) = bibtex.Parser().parse_string(citations_of([], brain_score=False)[-1].bibtex).entries.values()
    assert entry.fields["title"] == stated["title"]
    assert str(entry.persons["author"][0]).strip("{}") == stated["authors"][0]["name"]
    references = {reference.get("doi") or reference["url"].rpartition("/")[2] for reference in stated["references"]}
    cited = "".join(work.bibtex for work in citations_of(["10.7554/eLife.53798"], maps=True))
    assert all(reference in cited for reference in references)


def test_entries_of_brain_score_are_those_that_it_states():
    """The description of the installed package has both entries."""
    stated = bibtex.Parser().parse_string(metadata("brainscore_vision").get_payload()).entries.values()
    ours = [bibtex.Parser().parse_string(work.bibtex) for work in citations_of([]) if work.what == "Brain-Score"]
    for each in (entry for parsed in ours for entry in parsed.entries.values()):
        (same,) = [entry for entry in stated if entry.fields["title"] == each.fields["title"]]
        assert [person.last_names for person in each.persons["author"]] == [
            person.last_names for person in same.persons["author"]
        ]
        assert each.fields["year"] == same.fields["year"]
    assert len(ours) == 2
