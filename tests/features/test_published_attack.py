"""The attack behind the published table is that of foolbox 3.3.4, which never projects."""

import pytest
import torch
from decisions import convolutional, labelled

from brainscore_itmaps.features.minimum_norm import lengths, minimum_norm_attack
from brainscore_itmaps.features.published_attack import unprojected_attack

foolbox = pytest.importorskip("foolbox")


@pytest.mark.parametrize("steps", [12, 40])
@pytest.mark.parametrize("largest", [1.0, 0.3])
def test_the_published_steps_are_foolboxs(steps, largest):
    model = convolutional(classes=2)
    images, labels = labelled(model)
    attack = foolbox.attacks.L2FMNAttack(steps=steps, max_stepsize=largest, min_stepsize=1e-5, gamma=10)
    of_foolbox = attack.run(foolbox.PyTorchModel(model, bounds=(0, 1)), images, foolbox.Misclassification(labels))
    ours = unprojected_attack(model, images, labels, steps=steps, largest_step=largest)
    torch.testing.assert_close(ours.adversarial, of_foolbox, rtol=0, atol=2e-7)
    fooled = ours.norms.isfinite()
    assert fooled.any()
    torch.testing.assert_close(lengths(of_foolbox - images)[fooled], ours.norms[fooled])
    assert (lengths(of_foolbox - images)[~fooled] == 0).all()  # foolbox returns the image


def test_its_lengths_follow_the_first_step_and_are_no_minima():
    model = convolutional()
    images, labels = labelled(model)
    minima = minimum_norm_attack(model, images, labels).norms
    for largest in (1.0, 0.5):
        few, many = (unprojected_attack(model, images, labels, steps=n, largest_step=largest).norms for n in (5, 50))
        assert float(few.median()) == pytest.approx(float(many.median()), rel=0.01)  # more steps find nothing shorter
        assert (many > 0.8 * largest).all()
        assert (many > 1.5 * minima).all()


def test_images_that_are_classified_wrongly_have_length_0():
    model = convolutional()
    images, labels = labelled(model, 3)
    labels[1] = (labels[1] + 1) % 10
    found = unprojected_attack(model, images, labels, steps=3)
    assert found.norms[1] == 0
    assert torch.equal(found.adversarial[1], images[1])
