from brainscore_vision import model_registry

from brainscore_itmaps.bridge.models import get_model

model_registry['harmonized_resnet50'] = lambda: get_model('harmonized_resnet50')
model_registry['harmonized_vgg16'] = lambda: get_model('harmonized_vgg16')
model_registry['harmonized_efficientnet_b0'] = lambda: get_model('harmonized_efficientnet_b0')
model_registry['harmonized_vit_b16'] = lambda: get_model('harmonized_vit_b16')
model_registry['harmonized_convnext_tiny'] = lambda: get_model('harmonized_convnext_tiny')
model_registry['harmonized_maxvit_tiny'] = lambda: get_model('harmonized_maxvit_tiny')
model_registry['harmonized_levit_128'] = lambda: get_model('harmonized_levit_128')
