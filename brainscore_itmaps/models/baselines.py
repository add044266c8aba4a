"""The baseline twins of the harmonized models: the same architectures with timm's weights for ImageNet alone.

Layers are those of the harmonized twin; preprocessing, licence and accuracy are those that timm states for the weights.
The published figures compare with models that their authors trained themselves and never published: these are the
nearest that can be had. ConvNeXt-T and MaxViT-T are five points more accurate here than there, and LeViT-128 was
distilled from another model.
"""

from dataclasses import replace

from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.spec import ModelSpec, TimmWeights

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
BSD, APACHE = "BSD-3-Clause", "Apache-2.0"


def _cite(key: str, title: str, author: str, year: int, arxiv: str) -> str:
    return (
        f"@article{{{key},\n  title={{{title}}},\n  author={{{author}}},\n  journal={{arXiv preprint}},\n"
        f"  year={{{year}}},\n  url={{https://arxiv.org/abs/{arxiv}}}\n}}"
    )


def _twin(
    name: str,
    title: str,
    group: str,
    weights: TimmWeights,
    colours: tuple[tuple[float, float, float], tuple[float, float, float]],
    interpolation: str,
    crop: float,
    top1: float,
    citation: str,
    parameters: int | None = None,
) -> ModelSpec:
    harmonized = HARMONIZED[f"harmonized_{name}"]
    return replace(
        harmonized,
        identifier=harmonized.baseline,
        weights=weights,
        mean=colours[0],
        std=colours[1],
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
        _twin(
            "resnet50",
            "ResNet-50",
            "CNN",
            TimmWeights("resnet50.tv_in1k", BSD),
            IMAGENET,
            "bilinear",
            0.875,
            76.156,
            _cite(
                "he2015deep",
                "Deep Residual Learning for Image Recognition",
                "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian",
                2015,
                "1512.03385",
            ),
        ),
        _twin(
            "vgg16",
            "VGG16",
            "CNN",
            TimmWeights("vgg16.tv_in1k", BSD),
            IMAGENET,
            "bilinear",
            0.875,
            71.594,
            _cite(
                "simonyan2014very",
                "Very Deep Convolutional Networks for Large-Scale Image Recognition",
                "Simonyan, Karen and Zisserman, Andrew",
                2014,
                "1409.1556",
            ),
        ),
        _twin(
            "efficientnet_b0",
            "EfficientNet-B0",
            "CNN",
            TimmWeights("tf_efficientnet_b0.in1k", APACHE),
            IMAGENET,
            "bicubic",
            0.875,
            76.542,
            _cite(
                "tan2019efficientnet",
                "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
                "Tan, Mingxing and Le, Quoc V.",
                2019,
                "1905.11946",
            ),
        ),
        _twin(
            "vit_b16",
            "ViT-B/16",
            "transformer",
            TimmWeights("vit_base_patch16_224.augreg_in1k", APACHE),
            HALF,
            "bicubic",
            0.9,
            79.154,
            _cite(
                "steiner2021how",
                "How to train your ViT? Data, Augmentation, and Regularization in Vision Transformers",
                "Steiner, Andreas and Kolesnikov, Alexander and Zhai, Xiaohua and Wightman, Ross and "
                "Uszkoreit, Jakob and Beyer, Lucas",
                2021,
                "2106.10270",
            ),
        ),
        _twin(
            "convnext_tiny",
            "ConvNeXt-T",
            "CNN",
            TimmWeights("convnext_tiny.fb_in1k", APACHE),
            IMAGENET,
            "bicubic",
            0.875,
            82.066,
            _cite(
                "liu2022convnet",
                "A ConvNet for the 2020s",
                "Liu, Zhuang and Mao, Hanzi and Wu, Chao-Yuan and Feichtenhofer, Christoph and Darrell, Trevor and "
                "Xie, Saining",
                2022,
                "2201.03545",
            ),
        ),
        _twin(
            "maxvit_tiny",
            "MaxViT-T",
            "hybrid",
            TimmWeights("maxvit_tiny_tf_224.in1k", APACHE),
            IMAGENET,
            "bicubic",
            0.95,
            83.426,
            _cite(
                "tu2022maxvit",
                "MaxViT: Multi-Axis Vision Transformer",
                "Tu, Zhengzhong and Talebi, Hossein and Zhang, Han and Yang, Feng and Milanfar, Peyman and "
                "Bovik, Alan and Li, Yinxiao",
                2022,
                "2204.01697",
            ),
        ),
        _twin(
            "levit_128",
            "LeViT-128",
            "hybrid",
            TimmWeights("levit_128.fb_dist_in1k", APACHE),
            IMAGENET,
            "bicubic",
            0.9,
            78.486,
            _cite(
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
