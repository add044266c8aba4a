"""The specifications of the harmonized models.

The weights are those of Fel, Rodriguez, Linsley & Serre (2022) and Linsley et al. (2023). The authors state neither
checksums nor a licence of the weights. The accuracies are read off the published figures.
"""

from typing import Any

from brainscore_itmaps.models.spec import KerasWeights, ModelSpec

HOME = "https://storage.googleapis.com/serrelab/prj_harmonization/models/"
IT_FIGURE = "published, read off a figure of Linsley et al. 2023; not measured here"
FIRST_FIGURE = "published, read off a figure of the Harmonization documentation; not measured here"
FEL_2022 = """@inproceedings{fel2022harmonizing,
  title={Harmonizing the object recognition strategies of deep neural networks with humans},
  author={Fel, Thomas and Rodriguez, Ivan F. and Linsley, Drew and Serre, Thomas},
  booktitle={Advances in Neural Information Processing Systems},
  year={2022},
  url={https://arxiv.org/abs/2211.04533}
}"""


def _harmonized(
    name: str,
    architecture: str,
    file: str,
    title: tuple[str, int],
    accuracy: tuple[float, str],
    layers: str,
    readout: str,
    **options: Any,
) -> ModelSpec:
    """Build the specification of a harmonized model; ``layers`` lists those of V1, V2, V4 and IT."""
    (short_title, parameters), (top1, source) = title, accuracy
    return ModelSpec(
        identifier=f"harmonized_{name}",
        architecture=architecture,
        weights=KerasWeights(f"{HOME}{file}"),
        size=224,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        interpolation="bilinear",
        crop=0.875,
        layers=dict(zip(("V1", "V2", "V4", "IT"), layers.split(), strict=True)),
        readout=readout,
        visual_degrees=8,
        top1=top1,
        top1_source=source,
        citation=FEL_2022,
        group="harmonized",
        options=options,
        title=f"Harmonized {short_title}",
        parameters=parameters,
        baseline=f"{name}_timm_baseline",
    )


HARMONIZED = {
    spec.identifier: spec
    for spec in (
        _harmonized(
            "resnet50",
            "resnet50",
            "resnet50v2_harmonized.h5",  # ResNet version 1.5, despite the name of the file
            ("ResNet-50", 25_557_032),
            (77.2, FIRST_FIGURE),
            "layer1 layer2 layer3.2 layer3",
            "global_pool",
            same_padding=True,
        ),
        _harmonized(
            "vgg16",
            "vgg16",
            "vgg16_harmonized.h5",
            ("VGG16", 138_357_544),
            (69.3, FIRST_FIGURE),
            "features.8 features.15 features.22 features.29",
            "head.global_pool",
        ),
        _harmonized(
            "efficientnet_b0",
            "tf_efficientnet_b0",
            "efficientnetB0_harmonized.h5",
            ("EfficientNet-B0", 5_288_548),
            (75.8, IT_FIGURE),
            "blocks.1 blocks.2 blocks.3 blocks.4",
            "global_pool",
        ),
        _harmonized(
            "vit_b16",
            "vit_base_patch16_224",
            "vit-b16_harmonized.h5",
            ("ViT-B/16", 86_567_656),
            (75.7, FIRST_FIGURE),
            "blocks.1 blocks.3 blocks.5 blocks.7",
            "fc_norm",
        ),
        _harmonized(
            "convnext_tiny",
            "convnext_tiny",
            "convnext_tiny_harmonized.h5",
            ("ConvNeXt-T", 28_589_128),
            (77.5, IT_FIGURE),
            "stages.0 stages.1 stages.2.blocks.4 stages.2",
            "head.flatten",
        ),
        _harmonized(
            "maxvit_tiny",
            "maxvit_tiny_tf_224",
            "maxvit_tiny_harmonized.h5",
            ("MaxViT-T", 30_916_528),
            (78.4, IT_FIGURE),
            "stages.0 stages.1 stages.2.blocks.2 stages.2",
            "head.pre_logits",
        ),
        _harmonized(
            "levit_128",
            "levit_128",
            "levit_small_harmonized.h5",
            ("LeViT-128", 8_828_168),
            (75.4, IT_FIGURE),
            "stages.0.blocks.0 stages.0.blocks.1 stages.0.blocks.2 stages.0",
            "head.bn",
            distilled=False,
        ),
    )
}
