import json

import pytest
import timm
import torchvision

from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.models import zoo
from brainscore_itmaps.models.baselines import BASELINES
from brainscore_itmaps.models.timm_models import group_of, group_of_model
from brainscore_itmaps.models.zoo import SETS, ZOO, baseline_of, named_set


def test_each_harmonized_model_is_followed_by_its_baseline():
    twins = named_set("harmonized_twins")
    assert len(twins) == 14
    for harmonized, baseline in zip(twins[::2], twins[1::2], strict=True):
        assert harmonized.removeprefix("harmonized_") == baseline.removesuffix("_timm_baseline")
        assert (baseline_of(harmonized), baseline_of(baseline)) == (baseline, None)
        assert ZOO[harmonized].architecture == ZOO[baseline].architecture
    assert set(twins[1::2]) == set(BASELINES)
    assert baseline_of("timm:resnet50") is None


@pytest.mark.parametrize("name", SETS)
def test_every_model_of_a_set_can_be_named(name):
    models = named_set(name)
    assert len(set(models)) == len(models) > 0
    pretrained = set(timm.list_pretrained())
    libraries = pretrained | {
        f"torchvision:{name}" for name in torchvision.models.list_models(module=torchvision.models)
    }
    assert all(model in ZOO or model.removeprefix("timm:") in libraries for model in models)


def test_the_set_paper_proxy_says_that_it_is_not_the_paper_s_own_list():
    assert len(named_set("paper_proxy")) == 245
    assert "not the paper's own list" in SETS["paper_proxy"]
    assert "not the paper's own list" in json.loads(zoo.PROXY.read_text())["note"]


def test_the_error_for_an_unknown_set_names_the_nearest():
    with pytest.raises(UsageError, match="harmonized_twins"):
        named_set("harmonised_twins")


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("resnet50.tv_in1k", "CNN"),
        ("resnet50", "CNN"),
        ("vit_base_patch16_224.augreg_in1k", "transformer"),
        ("vit_base_patch16_224.augreg_in21k_ft_in1k", "extra data"),
        ("swin_tiny_patch4_window7_224.ms_in1k", "transformer"),
        ("maxvit_tiny_tf_224.in1k", "hybrid"),
        ("levit_128.fb_dist_in1k", "hybrid"),
        ("tf_efficientnet_b0.ap_in1k", "robust"),
        ("tf_efficientnet_b0.ns_jft_in1k", "extra data"),
        ("resnext101_32x8d.fb_wsl_ig1b_ft_in1k", "extra data"),
        ("vit_base_patch16_224.mae", "self-supervised"),
        ("vit_small_patch14_dinov2.lvd142m", "self-supervised"),
        ("convnextv2_tiny.fcmae_ft_in1k", "self-supervised"),
        ("vit_base_patch16_clip_224.openai", "extra data"),
        ("regnety_160.deit_in1k", "CNN"),
        ("tf_mobilenetv3_small_100.in1k", "CNN"),
    ],
)
def test_the_group_follows_from_the_name(name, group):
    assert group_of(name) == group


def test_groups_of_scored_models():
    names = ("harmonized_vgg16", "vgg16_timm_baseline", "timm:vit_base_patch16_224.augreg_in1k", "timm:nothing", "mine")
    assert [group_of_model(name) for name in names] == ["harmonized", "CNN", "transformer", "other", "other"]
