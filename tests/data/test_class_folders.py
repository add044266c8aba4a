"""Folders of images with a subfolder for each class: which images they contain, and the labels of the classes."""

import unicodedata

import pytest

from brainscore_itmaps.data.class_folders import class_labels, imagenet_wnids, read_class_folders
from brainscore_itmaps.errors import DataError


def make(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def labels(listed):
    return {file.rsplit("/", 2)[-2]: label for file, label in zip(listed.files, listed.labels, strict=True)}


def test_folders_named_by_numbers_are_the_classes_of_these_numbers(tmp_path):
    make(tmp_path, *(f"{number}/a.JPEG" for number in range(12)))
    listed = read_class_folders(tmp_path, 12)
    assert labels(listed) == {str(number): number for number in range(12)}
    assert listed.labels == tuple(range(12))
    assert listed.notes == ("the names of the class folders are the numbers of the classes",)


def test_some_of_the_numbers_can_be_absent_and_zeros_can_lead(tmp_path):
    listed = read_class_folders(make(tmp_path, "007/a.png", "010/a.png"), 1000)
    assert labels(listed) == {"007": 7, "010": 10}
    assert "998 of 1000 have no folder" in listed.notes[-1]


@pytest.mark.parametrize(
    ("names", "classes", "message"),
    [
        (["0", "1", "01"], 3, "1, 01 are the same class"),
        (["0", "1", "cat"], 3, r"named by numbers \(0, 1\) and others are not \(cat\)"),
        (["1", "2", "3"], 3, "the class 3 is not among the model's 3, which are numbered from 0 to 2.*classes = 4"),
        (["0", "12", "40"], 10, "the classes 12, 40 are not among"),
        (["-1", "0"], 2, r"named by numbers \(0\) and others are not \(-1\)"),
        (["cat", "dog"], 1000, "has 2 classes, not 1000.*Set classes = 2"),
        (["cat", "dog"], 1, "has 2 classes, not 1"),
        (["caf\u00e9", "cafe\u0301"], 2, "are the same class"),
        (["n01440764", "n99999999"], 1000, "n99999999 is not among the 1,000 classes of ImageNet-1k"),
    ],
)
def test_names_that_give_no_unique_label_are_refused_by_name(names, classes, message):
    with pytest.raises(DataError, match=message):
        class_labels(names, classes, "images")


def test_identifiers_of_imagenet_have_their_labels_also_without_the_others():
    assert class_labels(["n15075141", "n01443537"], 1000, "images") == {"n15075141": 999, "n01443537": 1}
    wnids = list(imagenet_wnids())
    assert class_labels(wnids, 1000, "images") == {name: label for label, name in enumerate(sorted(wnids))}
    assert class_labels(["n15075141", "n01443537"], 2, "images") == {"n01443537": 0, "n15075141": 1}


def test_names_are_sorted_alike_in_both_unicode_forms():
    names = ["cafz", "caf\u00e9", "cag"]
    composed = class_labels(names, 3, "images")
    decomposed = class_labels([unicodedata.normalize("NFD", name) for name in names], 3, "images")
    assert {unicodedata.normalize("NFC", name): label for name, label in decomposed.items()} == composed


def test_hidden_empty_and_stray_files_are_left_out_and_named(tmp_path):
    make(tmp_path, "cat/1.jpg", "cat/deep/2.PNG", "cat/.ipynb_checkpoints/1.jpg", "cat/._1.jpg", "cat/notes.txt")
    make(tmp_path, "dog/1.webp", ".ipynb_checkpoints/1.jpg", "__MACOSX/cat/1.jpg", "readme.md", "stray.jpg")
    (tmp_path / "empty").mkdir()
    listed = read_class_folders(tmp_path, 2)
    assert [file.removeprefix(f"{tmp_path}/") for file in listed.files] == ["cat/1.jpg", "cat/deep/2.PNG", "dog/1.webp"]
    assert listed.labels == (0, 0, 1)
    assert listed.notes == (
        ".ipynb_checkpoints, __MACOSX, empty (no images) are left out",
        "readme.md, stray.jpg, outside of the subfolders, are left out",
        "1 file that is not an image is left out",
        "classes are numbered in alphabetical order: 0 cat, 1 dog",
    )


def test_a_link_that_leads_back_is_not_followed_forever(tmp_path):
    make(tmp_path, "cat/1.jpg")
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    assert len(read_class_folders(tmp_path, 1).files) == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [([], "not a folder with a subfolder"), (["1.jpg", "2.jpg"], "2 files lie beside where they would be")],
)
def test_a_folder_without_class_folders_is_refused(tmp_path, files, message):
    with pytest.raises(DataError, match=message):
        read_class_folders(make(tmp_path, *files), 2)
    with pytest.raises(DataError, match="does not exist, not a folder"):
        read_class_folders(tmp_path / "none", 2)
    make(tmp_path, "file")
    with pytest.raises(DataError, match="is a file, not a folder"):
        read_class_folders(tmp_path / "file", 2)


def test_known_labels_are_taken_by_name_in_any_unicode_form(tmp_path):
    make(tmp_path, "cafe\u0301/1.jpg")
    assert read_class_folders(tmp_path, 5, {"caf\u00e9": 3, "dog": 4}).labels == (3,)
    with pytest.raises(DataError, match=r"not among the classes that the model is trained on .*dog"):
        read_class_folders(tmp_path, 5, {"cat": 0, "dog": 1})
