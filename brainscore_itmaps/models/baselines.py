"""The baselines of the harmonized models: the same architectures with timm's weights, trained on ImageNet alone.

Each baseline has the layers of its harmonized model, and the preprocessing, licence and accuracy that timm states for
its weights. The published figures compare with baselines that the authors trained and did not publish; these weights
are the nearest available. ConvNeXt-T and MaxViT-T are five points more accurate here than in the paper, and LeViT-128
was distilled from another model.
"""

from dataclasses import replace

from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.spec import ModelSpec, TimmWeights

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
BSD, APACHE = "BSD-3-Clause", "Apache-2.0"


def _bibtex(key: str, title: str, author: str, year: int, arxiv: str) -> str:
    """Format the BibTeX entry of an arXiv preprint."""
    return (
        f"@article{{{key},\n  title={{{title}}},\n  author={{{author}}},\n  journal={{arXiv preprint}},\n"
        f"  year={{{year}}},\n  url={{https://arxiv.org/abs/{arxiv}}}\n}}"
    )


def _baseline(
    name: str,
    title: str,
    group: str,
    weights: TimmWeights,
    mean_and_std: tuple[tuple[float, float, float], tuple[float, float, float]],
    interpolation: str,
    crop: float,
    top1: float,
    citation: str,
    parameters: int | None = None,
) -> ModelSpec:
    """Derive the specification of a baseline from that of its harmonized model."""
    harmonized = HARMONIZED[f"harmonized_{name}"]
    return replace(
        harmonized,
        identifier=harmonized.baseline,
        weights=weights,
        mean=mean_and_std[0],
        std=mean_and_std[1],
        interpolation=interpolation,
        crop=crop,
        layers=dict(harmonized.layers),
        top1=top1,
        top1_source=f"timm results for {weights.name} at 224 pixels",
        citation=citation,
        group=group,
        options={},
        title=title,
        parameters=parameters or harmonized.parameters,
        baseline="",
    )


BASELINES = {
    spec.identifier: spec
    for spec in (
        _baseline(
            "resnet50",
            "ResNet-50",
            "CNN",
            TimmWeights("resnet50.tv_in1k", BSD),
            IMAGENET,
            "bilinear",
            0.875,
            76.156,
            _bibtex(
                "he2015deep",
                "Deep Residual Learning for Image Recognition",
                "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian",
                2015,
                "1512.03385",
            ),
        ),
        _baseline(
            "vgg16",
            "VGG16",
            "CNN",
            TimmWeights("vgg16.tv_in1k", BSD),
            IMAGENET,
            "bilinear",
            0.875,
            71.594,
            _bibtex(
                "simonyan2014very",
                "Very Deep Convolutional Networks for Large-Scale Image Recognition",
                "Simonyan, Karen and Zisserman, Andrew",
                2014,
                "1409.1556",
            ),
        ),
        _baseline(
            "efficientnet_b0",
            "EfficientNet-B0",
            "CNN",
            TimmWeights("tf_efficientnet_b0.in1k", APACHE),
            IMAGENET,
            "bicubic",
            0.875,
            76.542,
            _bibtex(
                "tan2019efficientnet",
                "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
                "Tan, Mingxing and Le, Quoc V.",
                2019,
                "1905.11946",
            ),
        ),
        _baseline(
            "vit_b16",
            "ViT-B/16",
            "transformer",
            TimmWeights("vit_base_patch16_224.augreg_in1k", APACHE),
            HALVES,
            "bicubic",
            0.9,
            79.154,
            _bibtex(
                "steiner2021how",
                "How to train your ViT? Data, Augmentation, and Regularization in Vision Transformers",
                "Steiner, Andreas and Kolesnikov, Alexander and Zhai, Xiaohua and Wightman, Ross and "
                "Uszkoreit, Jakob and Beyer, Lucas",
                2021,
                "2106.10270",
            ),
        ),
        _baseline(
            "convnext_tiny",
            "ConvNeXt-T",
            "CNN",
            TimmWeights("convnext_tiny.fb_in1k", APACHE),
            IMAGENET,
            "bicubic",
            0.875,
            82.066,
            _bibtex(
                "liu2022convnet",
                "A ConvNet for the 2020s",
                "Liu, Zhuang and Mao, Hanzi and Wu, Chao-Yuan and Feichtenhofer, Christoph and Darrell, Trevor and "
                "Xie, Saining",
                2022,
                "2201.03545",
            ),
        ),
        _baseline(
            "maxvit_tiny",
            "MaxViT-T",
            "hybrid",
            TimmWeights("maxvit_tiny_tf_224.in1k", APACHE),
            IMAGENET,
            "bicubic",
            0.95,
            83.426,
            _bibtex(
                "tu2022maxvit",
                "MaxViT: Multi-Axis Vision Transformer",
                "Tu, Zhengzhong and Talebi, Hossein and Zhang, Han and Yang, Feng and Milanfar, Peyman and "
                "Bovik, Alan and Li, Yinxiao",
                2022,
                "2204.01697",
            ),
        ),
        _baseline(
            "levit_128",
            "LeViT-128",
            "hybrid",
            TimmWeights("levit_128.fb_dist_in1k", APACHE),
            IMAGENET,
            "bicubic",
            0.9,
            78.486,
            _bibtex(
                "graham2021levit",
                "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference",
                "Graham, Ben and El-Nouby, Alaaeldin and Touvron, Hugo and Stock, Pierre and Joulin, Armand and "
                "Jegou, Herve and Douze, Matthijs",
                2021,
                "2104.01136",
            ),
            parameters=9_213_936,
        ),
    )
}
