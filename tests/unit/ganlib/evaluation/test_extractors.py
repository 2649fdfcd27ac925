"""Extractors: shapes, scaling, determinism, and what is said where weights are missing, wrong or harmful."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from ganlib.evaluation.extractors import EXTRACTORS, ExtractorUnavailable, load_extractor
from ganlib.evaluation.measures.diversity import perceptual_diversity

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"


def images(n, c=1, side=28):
    return np.random.default_rng(0).uniform(-1, 1, (n, c, side, side)).astype(np.float32)


@pytest.fixture(scope="module")
def lite0():
    return load_extractor("efficientnet-lite0")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict, strict=False, assign=False):
            return super().load_state_dict(state_dict, strict=False)

    folder = tmp_path_factory.mktemp("weights")
    torch.save({}, folder / "none.pth")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Untrained("untrained", ["2048"], feature_extractor_weights_path=folder / "none.pth")
    torch.save(network.state_dict(), folder / INCEPTION_FILE)
    return network, folder / INCEPTION_FILE


# --- efficientnet-lite0 -----------------------------------------------------------------------------------------


def test_lite0_gives_1280_features_and_five_layers_of_gray_and_colour_images_of_any_size(lite0):
    for given in (images(3), images(3, 3, 32), images(3, 1, 70)):
        features = lite0.features(given)
        assert (features.shape, features.dtype) == ((3, 1280), np.float32)
        shapes = [layer.shape for layer in lite0.activations(given)]
        assert shapes == [(3, 16, 32, 32), (3, 24, 16, 16), (3, 40, 8, 8), (3, 112, 4, 4), (3, 320, 2, 2)]


def test_a_gray_image_is_one_with_three_equal_channels(lite0):
    gray = images(2)
    assert lite0.features(gray).tobytes() == lite0.features(gray.repeat(3, axis=1)).tobytes()


def test_features_are_the_packages_own_for_pixels_scaled_as_its_weights_were_trained(lite0):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64))
    scaled = torch.from_numpy((pixels - 127) / 128).float()  # 64 x 64: nothing is resized
    with torch.inference_mode():
        expected = lite0.network.extract_features(scaled).mean((2, 3)).numpy()
    assert lite0.features((pixels / 127.5 - 1).astype(np.float32)) == pytest.approx(expected, abs=1e-5)


def test_features_are_bit_identical_when_computed_again_and_do_not_depend_on_other_images(lite0):
    given = images(7)
    features = lite0.features(given)
    assert load_extractor("efficientnet-lite0").features(given).tobytes() == features.tobytes()
    assert lite0.features(given, batch=3) == pytest.approx(features, abs=1e-4)
    assert lite0.features(given[4:5])[0] == pytest.approx(features[4], abs=1e-4)


def test_read_only_images_are_read(lite0):
    given = images(1)
    given.flags.writeable = False
    assert np.isfinite(lite0.features(given)).all()


def test_images_that_are_not_finite_have_no_features_and_leave_the_others_alone(lite0):
    given = images(3)
    expected = lite0.features(given)
    given[1, 0, 5, 5] = np.inf
    features = lite0.features(given)
    assert np.isnan(features[1]).all()
    assert features[[0, 2]].tobytes() == expected[[0, 2]].tobytes()
    assert [np.isnan(layer).any((1, 2, 3)).tolist() for layer in lite0.activations(given)] == [[False, True, False]] * 5


def test_perceptual_diversity_of_noise_is_higher_than_of_one_repeated_image(lite0):
    given = images(6)
    assert perceptual_diversity(given, lite0, np.random.default_rng(0), pairs=6) > 0.05
    same = given[:1].repeat(6, axis=0)
    assert perceptual_diversity(same, lite0, np.random.default_rng(0), pairs=6) == pytest.approx(0, abs=1e-6)


def test_two_channels_are_refused(lite0):
    with pytest.raises(ValueError, match="1 or 3 channels; they have 2"):
        lite0.features(images(1, 2))


# --- inception-v3 -----------------------------------------------------------------------------------------------


def test_inception_features_are_torch_fidelitys_of_the_8_bit_image(untrained):
    network, path = untrained
    extractor = load_extractor("inception-v3", path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 28, 28), dtype=np.uint8)
    given = (pixels / 127.5 - 1).astype(np.float32)
    expected = network(torch.from_numpy(pixels).expand(-1, 3, -1, -1))[0].numpy()
    features = extractor.features(given)
    assert features.shape == (2, 2048)
    assert features == pytest.approx(expected, rel=1e-5)
    assert [layer.shape[1] for layer in extractor.activations(given[:1])] == [64, 192, 768, 2048]


def test_without_weights_or_network_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr("urllib.request._opener", None)  # one of an earlier test would keep the proxies of its time
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    default = tmp_path / "home" / "hub" / "checkpoints" / INCEPTION_FILE
    for weights, place in ((None, default), (tmp_path / "mine.pth", tmp_path / "mine.pth")):
        with pytest.raises(ExtractorUnavailable) as caught:
            load_extractor("inception-v3", weights)
        for part in (str(place), f"Put {INCEPTION_FILE} there", "'efficientnet-lite0'", "refused"):
            assert part in str(caught.value)
        assert not place.exists()


# --- files ------------------------------------------------------------------------------------------------------


class Harmful:
    def __reduce__(self):
        return (pytest.fail, ("code from a weights file was run",))


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_file_without_the_right_weights_is_refused_and_no_code_in_it_is_run(tmp_path, name):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save([1], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("not found")
    (tmp_path / "empty.pth").touch()
    torch.save(Harmful(), tmp_path / "harmful.pth")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ExtractorUnavailable, match=f"'{name}' cannot be read from .*{path.name}"):
            load_extractor(name, path)


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError):
        load_extractor("resnet")


def test_measures_on_features_load_no_torch():
    modules = "frechet, vendi, repetition, memorisation"
    code = f"import sys; from ganlib.evaluation.measures import {modules}; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
