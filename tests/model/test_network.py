"""Networks of one's own that read pictures: what is put before and behind their operators, and what is refused."""

import numpy as np
import onnx
import onnxruntime
import pytest
from networks import network
from onnx import TensorProto

from linewright.errors import LinewrightError
from linewright.model.imported.network import (
    MEANS_AND_SPREADS,
    backbone_of,
    look_at_network,
    outputs_of,
    scale_of,
    side_of,
    to_backbone,
)
from linewright.model.imported.sandbox import tried_network
from linewright.model.spec import PicturesSpec

PIXELS = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)


def _run(graph, **feed):
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, feed)[0]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("scale", MEANS_AND_SPREADS)
def test_a_network_gets_pixels_as_it_was_trained_with(layout, scale):
    """Beside its own answers for numbers that are scaled by hand."""
    data = network(layout=layout, classes=4)
    mean, spread = (np.array(one) for one in MEANS_AND_SPREADS[scale])
    scaled = ((PIXELS - mean) / spread).astype(np.float32)
    expected = _run(data, picture=scaled.transpose(0, 3, 1, 2) if layout == "NCHW" else scaled)

    made = to_backbone(data, side=32, scale=scale, outputs=("logits",), where="net")

    assert (32, 4) == (made.side, made.width)
    np.testing.assert_allclose(expected, _run(made.graph, pixels=PIXELS), rtol=1e-4, atol=1e-5)


def test_a_network_of_bytes_and_one_of_grey_get_these():
    """A grey is that of JPEG; bytes are not scaled."""
    data = network(dtype=TensorProto.UINT8, channels=1, layout="NHWC", classes=3, side=32)
    grey = np.floor(PIXELS @ np.array([0.299, 0.587, 0.114]) + 0.5).astype(np.uint8)[..., None]

    made = to_backbone(data, side=32, scale="bytes", outputs=("logits",), where="net")

    np.testing.assert_allclose(
        _run(data, picture=grey), _run(made.graph, pixels=PIXELS), rtol=1e-2, atol=1e-2
    )


def test_maps_become_their_means_maxima_and_deviations():
    """A row of numbers, whatever the size of the picture."""
    data = network()
    maps = _run(data, picture=(PIXELS / 255).astype(np.float32).transpose(0, 3, 1, 2))
    expected = np.concatenate([maps.mean((2, 3)), maps.max((2, 3)), maps.std((2, 3))], axis=1)

    made = to_backbone(data, side=32, scale="unit", outputs=("maps",), where="net")

    np.testing.assert_allclose(expected, _run(made.graph, pixels=PIXELS), rtol=1e-4, atol=1e-5)


def test_the_same_file_gives_the_same_graph():
    """A rebuild hangs on it."""
    made = [to_backbone(network(), side=32, scale="unit", outputs=("maps",), where="net") for _ in range(2)]

    assert made[0] == made[1]


def _with_external_data():
    model = onnx.load_model_from_string(network())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (lambda: b"no network", "not an ONNX file"),
        (_with_external_data, "data outside of the file"),
        (
            lambda: network(operator="RandomNormalLike"),
            "operators that are not read: found 'RandomNormalLike'",
        ),
        (lambda: network(channels=4), "the input of the network is not a picture"),
        (lambda: network(dtype=TensorProto.DOUBLE), r"not a picture|cannot run|can run"),
        (lambda: network(batch=8, side=32), "n is free or 1"),
        (lambda: network(side=2_000), "the input of the network is not a picture"),
    ],
)
def test_what_is_no_network_of_pictures_is_refused(data, what):
    """In words, before it meets a picture."""
    with pytest.raises(LinewrightError, match=what):
        look_at_network(data(), where="net")


def test_what_a_file_does_not_say_is_asked_for():
    """A guess would be a model that sees other pictures than it was trained with."""
    floats = look_at_network(network(side=64), where="net")
    whole = look_at_network(network(dtype=TensorProto.UINT8), where="net")

    with pytest.raises(LinewrightError, match=r"allowed: bytes, unit, signed, imagenet"):
        scale_of(floats, None, where="net")
    with pytest.raises(LinewrightError, match="reads bytes"):
        scale_of(whole, "unit", where="net")
    with pytest.raises(LinewrightError, match="pictures of one size"):
        side_of(floats, 32, where="net", otherwise=224)
    with pytest.raises(LinewrightError, match="no such output"):
        outputs_of(floats, ["logits"], where="net")
    assert (64, 224) == tuple(side_of(one, None, where="net", otherwise=224) for one in (floats, whole))


def test_a_network_that_fails_on_a_picture_is_refused():
    """Its layers may not fit the size that is asked for."""
    model = onnx.load_model_from_string(network(classes=3))
    dims = model.graph.input[0].type.tensor_type.shape.dim
    flat = next(node for node in model.graph.node if node.op_type == "GlobalAveragePool")
    flat.op_type = "Identity"

    with pytest.raises(LinewrightError, match=r"fails on a picture|can run"):
        backbone_of(
            model.SerializeToString(),
            PicturesSpec(scale="unit", backbone="net.onnx"),
            side=32,
            otherwise=224,
            where="net",
        )
    assert 4 == len(dims)


@pytest.mark.usefixtures("processes")
def test_an_output_that_is_no_row_hides_no_other():
    """`new` looks for the one that has the answers."""
    model = onnx.load_model_from_string(network(classes=3, side=32))
    model.graph.node.append(onnx.helper.make_node("ReduceMean", ["logits"], ["loss"], keepdims=0))
    model.graph.output.insert(0, onnx.helper.make_tensor_value_info("loss", TensorProto.FLOAT, []))

    seen = tried_network(model.SerializeToString(), where="net")
    assert ("loss", "logits") == seen.outputs
