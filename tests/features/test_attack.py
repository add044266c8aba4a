"""`attack` in Python: images in any form, labels, and mistakes."""

import numpy as np
import pytest
import torch
from PIL import Image
from small_model import Small

import brainscore_itmaps as itmaps
from brainscore_itmaps.errors import ArrayError, DataError, ModelError, UsageError
from brainscore_itmaps.features.attack import Attack, attack, pixels_of
from brainscore_itmaps.models.load import load_model

SAID = {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}


@pytest.fixture
def model():
    torch.manual_seed(1)
    return load_model(Small(), preprocessing=SAID)


@pytest.fixture
def photos():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def test_every_form_of_the_same_images_gives_the_same_attack(model, photos, tmp_path):
    for number, photo in enumerate(photos):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    pillow = [Image.fromarray(photo) for photo in photos]
    pixels = photos.astype(np.float32) / 255
    first = torch.from_numpy(pixels.transpose(0, 3, 1, 2))
    forms = [tmp_path, sorted(tmp_path.iterdir()), pillow, photos, list(photos), pixels, pixels.astype(np.float64)]
    expected = attack(model, photos, steps=20)
    for form in forms:
        found = attack(model, form, steps=20)
        np.testing.assert_array_equal(found.norms, expected.norms)
        np.testing.assert_array_equal(found.adversarial, expected.adversarial)
    for form in (first, first.numpy()):
        found = attack(model, form, steps=20)
        assert type(found.adversarial) is type(form)
        np.testing.assert_array_equal(np.asarray(found.adversarial).transpose(0, 2, 3, 1), expected.adversarial)
    assert len(attack(model, tmp_path / "0.png", steps=5)) == len(attack(model, pillow[0], steps=5)) == 1


def test_the_numbers_describe_the_attacked_images(model, photos):
    found = attack(model, photos, steps=30)
    assert isinstance(found, Attack)
    np.testing.assert_allclose(np.linalg.norm(found.perturbations.reshape(3, -1), axis=1), found.norms, rtol=1e-5)
    decided = model.module((torch.from_numpy(found.adversarial).permute(0, 3, 1, 2) - 0.5) / 0.25).argmax(dim=1)
    assert (decided.numpy() != found.labels)[found.fooled].all()
    np.testing.assert_array_equal(decided.numpy(), found.decided)
    assert found.correct.all()  # without labels, the decision is the label
    assert found.tolerance == np.median(found.norms)
    assert (found.norms_8_bit >= found.norms).all()


def test_labels_may_be_known_unknown_or_wrong(model, photos):
    known = attack(model, photos, steps=5).labels
    given = known.copy()
    given[0], given[1] = (given[0] + 1) % 5, -1
    for form in (given, given.tolist(), torch.from_numpy(given)):
        found = attack(model, photos, form, steps=5)
        assert found.correct.tolist() == [False, True, True]
        assert found.norms[0] == 0
        assert found.labels.tolist() == [given[0], known[1], known[2]]
        assert found.tolerance == np.median(found.norms[1:])
    np.testing.assert_array_equal(found.adversarial[0], found.images[0])


def test_modules_are_returned_to_their_state_and_batches_change_nothing(photos):
    torch.manual_seed(1)
    module = Small().train()
    one = attack(module, photos, preprocessing=SAID, steps=10, batch_size=1)
    assert module.training
    np.testing.assert_allclose(
        attack(module, photos, preprocessing=SAID, steps=10, batch_size=3).norms, one.norms, rtol=0.01
    )


def test_images_of_another_size_are_resized_as_the_model_resizes_them(model):
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    pixels, _ = pixels_of(model, [photo])
    torch.testing.assert_close((pixels - 0.5) / 0.25, model.preprocess([photo]))
    resized, _ = pixels_of(model, torch.rand(2, 3, 40, 40))
    assert resized.shape == (2, 3, 32, 32)


def test_progress_ends_at_all_images(model, photos):
    reported = []
    attack(model, photos, steps=5, batch_size=2, progress=lambda *given: reported.append(given))
    assert reported[-1] == ("attacking images", 3, 3)
    assert [done for _, done, _ in reported] == sorted(done for _, done, _ in reported)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": [0, 1]}, r"labels of shape \(2,\) for 3 images"),
        ({"labels": [0, 1, 5]}, "label 5 is not among the 5 classes"),
        ({"labels": [0, 1, -2]}, "label -2 is no class"),
        ({"labels": [0.5, 1, 2]}, "labels are float64"),
        ({"labels": "abc"}, "labels are <U3"),
        ({"labels": [[0], [1, 2]]}, "labels are not a list of numbers"),
        ({"steps": -1}, "number of steps is -1"),
        ({"steps": 2.5}, "number of steps is 2.5"),
        ({"restarts": True}, "number of restarts is True"),
        ({"decision": "animals"}, "no decision named 'animals'"),
        ({"protocol": "followup"}, "no protocol of attacks named 'followup'"),
        ({"protocol": "published", "restarts": 2}, "begins at the image, once"),
        ({"batch_size": 0}, "cannot have 0 images"),
        ({"weights": "random"}, "is loaded already"),
        ({"device": "tpu"}, "device 'tpu' is not available"),
        ({"images": []}, "no images to attack"),
        ({"images": "nowhere"}, "There is no image nowhere"),
        ({"images": np.zeros((3, 32, 32))}, "shape"),
        ({"images": np.full((1, 32, 32, 3), 2.0)}, "values from 2 to 2"),
        ({"images": np.full((1, 32, 32, 3), np.nan)}, "values from nan to nan"),
        ({"images": np.zeros((0, 32, 32, 3), np.float32)}, "shape"),
        ({"images": [1, 2]}, "not|shape"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(model, photos, change, said):
    given = {"images": photos, "steps": 3} | change
    with pytest.raises((UsageError, DataError, ArrayError), match=said):
        itmaps.attack(model, given.pop("images"), given.pop("labels", None), **given)


def test_logits_that_are_not_numbers_are_told(model, photos):
    with torch.no_grad():
        model.module.head.bias[0] = torch.nan
    with pytest.raises(ModelError, match="logits that are not finite"):
        attack(model, photos)


def test_an_empty_folder_is_told(model, tmp_path):
    with pytest.raises(DataError, match="contains no images"):
        attack(model, tmp_path)
