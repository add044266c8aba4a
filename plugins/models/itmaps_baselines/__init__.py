from brainscore_vision import model_registry

from brainscore_itmaps.bridge.models import get_model

model_registry['resnet50_timm_baseline'] = lambda: get_model('resnet50_timm_baseline')
model_registry['vgg16_timm_baseline'] = lambda: get_model('vgg16_timm_baseline')
model_registry['efficientnet_b0_timm_baseline'] = lambda: get_model('efficientnet_b0_timm_baseline')
model_registry['vit_b16_timm_baseline'] = lambda: get_model('vit_b16_timm_baseline')
model_registry['convnext_tiny_timm_baseline'] = lambda: get_model('convnext_tiny_timm_baseline')
model_registry['maxvit_tiny_timm_baseline'] = lambda: get_model('maxvit_tiny_timm_baseline')
model_registry['levit_128_timm_baseline'] = lambda: get_model('levit_128_timm_baseline')
