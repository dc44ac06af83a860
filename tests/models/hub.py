"""Small models with the architectures of KerasHub, and a task."""

from typing import Any

SHAPE = (96, 96, 3)
CLASSES = 10


def _hub(name: str, **arguments: Any) -> Any:
    import keras_hub

    arguments.setdefault("image_shape", SHAPE)
    return getattr(keras_hub.models, name)(**arguments)


def _mobilenet() -> Any:
    return _hub(
        "MobileNetBackbone",
        stackwise_expansion=[[40, 56], [64, 144, 144], [72, 72]],
        stackwise_num_blocks=[2, 3, 2],
        stackwise_num_filters=[[16, 16], [24, 24, 24], [24, 24]],
        stackwise_kernel_size=[[3, 3], [5, 5, 5], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1, 1], [1, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25, 0.25], [0.3, 0.3]],
        stackwise_activation=[
            ["relu", "relu"],
            ["hard_swish", "hard_swish", "hard_swish"],
            ["hard_swish", "hard_swish"],
        ],
        stackwise_padding=[[1, 1], [2, 2, 2], [2, 2]],
        output_num_filters=288,
        input_activation="hard_swish",
        output_activation="hard_swish",
        input_num_filters=16,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=96,
    )


def _mobilenet_v5() -> Any:
    zeros = [[0], [0, 0]]
    return _hub(
        "MobileNetV5Backbone",
        stackwise_block_types=[["er"], ["uir", "uir"]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[24], [48, 48]],
        stackwise_strides=[[2], [2, 1]],
        stackwise_act_layers=[["relu"], ["relu", "relu"]],
        stackwise_exp_ratios=[[4.0], [6.0, 6.0]],
        stackwise_se_ratios=[[0.0], [0.0, 0.0]],
        stackwise_dw_kernel_sizes=[[0], [5, 5]],
        stackwise_dw_start_kernel_sizes=zeros,
        stackwise_dw_end_kernel_sizes=zeros,
        stackwise_exp_kernel_sizes=[[3], [0, 0]],
        stackwise_pw_kernel_sizes=[[1], [0, 0]],
        stackwise_num_heads=zeros,
        stackwise_key_dims=zeros,
        stackwise_value_dims=zeros,
        stackwise_kv_strides=zeros,
        stackwise_use_cpe=[[False], [False, False]],
        use_msfa=False,
    )


def _efficientnet(**arguments: Any) -> Any:
    arguments = {
        "stackwise_width_coefficients": [1.0] * 7,
        "stackwise_depth_coefficients": [1.0] * 7,
        "stackwise_kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
        "stackwise_num_repeats": [1, 2, 2, 3, 3, 4, 1],
        "stackwise_input_filters": [32, 16, 24, 40, 80, 112, 192],
        "stackwise_output_filters": [16, 24, 40, 80, 112, 192, 320],
        "stackwise_expansion_ratios": [1, 6, 6, 6, 6, 6, 6],
        "stackwise_squeeze_and_excite_ratios": [0.25] * 7,
        "stackwise_strides": [1, 2, 2, 2, 1, 2, 1],
        "stackwise_block_types": ["v1"] * 7,
        "stackwise_force_input_filters": [0] * 7,
        "stackwise_nores_option": [False] * 7,
        **arguments,
    }
    import keras_hub

    return keras_hub.models.EfficientNetBackbone(input_shape=SHAPE, **arguments)


def _efficientnet_lite() -> Any:
    return _efficientnet(
        stackwise_squeeze_and_excite_ratios=[0] * 7,
        activation="relu6",
        dropout=0.0,
    )


def _cspnet() -> Any:
    return _hub(
        "CSPNetBackbone",
        stem_filters=32,
        stem_kernel_size=3,
        stem_strides=2,
        stackwise_depth=[1, 2, 2],
        stackwise_strides=[1, 2, 2],
        stackwise_num_filters=[32, 64, 128],
        block_type="dark_block",
        stage_type="csp",
        bottle_ratio=[0.5, 1.0, 1.0],
        block_ratio=[1.0, 0.5, 0.5],
        expand_ratio=[2.0, 1.0, 1.0],
    )


def _hgnet() -> Any:
    return _hub(
        "HGNetV2Backbone",
        depths=[1, 1, 2, 1],
        embedding_size=32,
        hidden_sizes=[64, 256, 512, 1024],
        stem_channels=[3, 16, 16],
        hidden_act="relu",
        use_learnable_affine_block=True,
        # The options of B0.
        stackwise_stage_filters=[
            (16, 16, 64, 1, 3, 3),
            (64, 32, 256, 1, 3, 3),
            (256, 64, 512, 2, 3, 5),
            (512, 128, 1024, 1, 3, 5),
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
    )


def _mit() -> Any:
    return _hub(
        "MiTBackbone",
        num_layers=4,
        hidden_dims=[32, 64, 160, 256],
        layerwise_depths=[2, 2, 2, 2],
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_sr_ratios=[8, 4, 2, 1],
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        max_drop_path_rate=0.0,
    )


def _segformer() -> Any:
    import keras_hub

    return keras_hub.models.SegFormerBackbone(
        image_encoder=_mit(), projection_filters=64
    )


def _resnet() -> Any:
    return _hub(
        "ResNetBackbone",
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 128, 256],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
    )


def _deeplab() -> Any:
    return _hub(
        "DeepLabV3Backbone",
        image_encoder=_resnet(),
        projection_filters=48,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[1, 2, 3],
    )


def _xception() -> Any:
    return _hub(
        "XceptionBackbone",
        stackwise_conv_filters=[[32, 64], [128, 128], [256, 256], [512, 512]],
        stackwise_pooling=[True, True, True, False],
    )


def _classifier() -> Any:
    import keras_hub

    return keras_hub.models.EfficientNetImageClassifier(
        backbone=_efficientnet(),
        num_classes=CLASSES,
        preprocessor=None,
    )


MODELS = {
    "MobileNetBackbone": _mobilenet,
    "MobileNetV5Backbone": _mobilenet_v5,
    "EfficientNetBackbone": _efficientnet,
    "EfficientNetBackbone lite": _efficientnet_lite,
    "EfficientNetImageClassifier": _classifier,
    "CSPNetBackbone": _cspnet,
    "HGNetV2Backbone": _hgnet,
    "MiTBackbone": _mit,
    "SegFormerBackbone": _segformer,
    "DeepLabV3Backbone": _deeplab,
    "XceptionBackbone": _xception,
}
