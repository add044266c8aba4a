"""Results that do not fit together: of several versions of a benchmark, and with scores that are not finite."""

import numpy as np
from shown import changed
from studies import planted

from brainscore_itmaps.study.fits import findings
from brainscore_itmaps.study.table import tidy_table


def test_results_of_several_versions_are_named():
    results = planted()
    assert not any("versions" in trouble for trouble in tidy_table(results).troubles)
    results[0] = changed(results[0], benchmark_version=1)
    (trouble,) = [trouble for trouble in tidy_table(results).troubles if "versions" in trouble]
    assert trouble.startswith(f"The results on {results[0].benchmark} are of the versions 1, 2, ")


def test_a_score_that_is_not_finite_without_a_group_is_not_tested():
    results = planted()
    broken = next(index for index, result in enumerate(results) if result.model == "harmonized_vgg16")
    (array,) = results[broken].arrays
    replicates = np.where(np.arange(len(array.estimate.replicates)) == 1, np.nan, array.estimate.replicates)
    results[broken] = changed(results[broken], arrays=(changed(array, replicates=replicates),))
    fitted = findings(tidy_table(results), draws=20)
    assert "harmonized_vgg16" not in set(fitted.pairs["model"])
    assert any("harmonized_vgg16" in note and "no score, or no interval" in note for note in fitted.notes)
