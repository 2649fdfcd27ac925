from importlib import resources
from pathlib import Path

import pytest

from ganclinic.demo import demo_requests
from ganclinic.errors import InvalidInput
from ganclinic.request import batch_from, parse_settings, request_from
from ganlib.spec.preset import preset_names

SPEC = {
    "x.toml": 'dataset = { name = "ring8" }\ngenerator = { family = "mlp" }\ndiscriminator = { family = "mlp" }\n',
    "x.yaml": "dataset: {name: ring8}\ngenerator: {family: mlp}\ndiscriminator: {family: mlp}\n",
    "x.json": '{"dataset": {"name": "ring8"}, "generator": {"family": "mlp"}, "discriminator": {"family": "mlp"}}',
}


@pytest.mark.parametrize("name", SPEC)
def test_a_file_of_each_kind_may_hold_a_spec(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(SPEC[name])
    request = request_from(str(tmp_path / name), ["training.epochs=3"], "mine")
    spec = request.resolve()
    assert spec.dataset.name == "ring8"
    assert spec.training.epochs == 3
    assert request.name == "mine"


def test_a_file_may_hold_a_request_whose_settings_the_options_override(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('preset = "digit8-stable"\n[set]\n"training.epochs" = 5\nseed = 7\n')
    spec = request_from(str(file), ["training.epochs=3"]).resolve()
    assert (spec.training.epochs, spec.seed) == (3, 7)


def test_a_copy_of_a_preset_file_may_be_run(tmp_path: Path) -> None:
    preset = resources.files("ganlib.spec").joinpath("presets", "digit8-latent-1.toml")
    file = tmp_path / "mine.toml"
    file.write_text(preset.read_text())
    assert request_from(str(file)).resolve().generator.latent_dim == 1


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_name_is_a_name_and_no_file(name: str) -> None:
    assert request_from(name).preset == name


def test_settings_are_json_and_else_text() -> None:
    settings = ["a=3", "b=1e-3", "c=null", "d=[8]", "e=mnist-5k", 'f={"kind": "none"}', "g=", "h=NaN", 'i="3"', "j=a=b"]
    assert parse_settings(settings) == {
        "a": 3,
        "b": 1e-3,
        "c": None,
        "d": [8],
        "e": "mnist-5k",
        "f": {"kind": "none"},
        "g": "",
        "h": "NaN",
        "i": "3",
        "j": "a=b",
    }


@pytest.mark.parametrize("setting", ["a", "=3", " =3"])
def test_a_setting_without_path_or_value_is_refused(setting: str) -> None:
    with pytest.raises(InvalidInput, match="path=value"):
        parse_settings([setting])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.toml", "a = ", "not valid TOML"),
        ("x.yaml", "a: [", "not valid YAML"),
        ("x.yaml", "a: .nan", "not valid YAML"),
        ("x.json", "{", "not valid JSON"),
        ("x.json", "[]", "holds no object"),
        ("x.yaml", "", "holds no object"),
        ("x.toml", 'preset = "a"\nepochs = 3', "epochs: is not a field here; allowed: preset, spec, set, name"),
        ("x.toml", 'preset = "a"\nspec = {}', "give either"),
    ],
)
def test_a_file_that_cannot_be_understood_is_named_with_the_reason(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput, match=message) as caught:
        request_from(str(tmp_path / name))
    assert name in str(caught.value)


def test_a_file_without_a_known_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("a")
    with pytest.raises(InvalidInput, match=r"has to end with \.toml"):
        request_from(str(tmp_path / "x.txt"))


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"There is no file .*x\.toml"):
        request_from(str(tmp_path / "x.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InvalidInput, match="Is a directory"):
        request_from(str(tmp_path / "folder.toml"))


def test_a_batch_file_holds_a_name_and_requests(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        'name = "two"\n[[runs]]\npreset = "digit8-stable"\n[[runs]]\npreset = "digit8-latent-1"\nset = {seed = 3}\n'
    )
    name, requests = batch_from(file)
    assert name == "two"
    assert [r.resolve().seed for r in requests] == [0, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runs = []", "holds no runs"),
        ('preset = "a"', "holds no runs"),
        ('x = 1\n[[runs]]\npreset = "a"', "'x' is not a field of a batch"),
        ('[[runs]]\npreset = "a"\n[[runs]]\nx = 1', r"runs\[1\]: x: is not a field here"),
    ],
)
def test_a_batch_file_that_cannot_be_understood_is_named_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        batch_from(tmp_path / "x.toml")


@pytest.mark.parametrize("text", ['[{"preset": "digit8-stable"}]', '{"runs": {}}'])
def test_a_batch_file_without_a_list_of_runs_is_told_what_it_needs(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InvalidInput) as caught:
        batch_from(tmp_path / "x.json")
    example = str(caught.value).partition("`runs`, as in ")[2].partition(", in TOML")[0]
    (tmp_path / "x.json").write_text(example)
    _, [request] = batch_from(tmp_path / "x.json")
    assert request.preset == "digit8-stable"


def test_the_demo_is_three_presets_on_digits_that_need_no_network() -> None:
    _, requests = demo_requests()
    assert [r.preset for r in requests] == ["digit8-stable", "digit8-latent-1", "digit8-combined-batch"]
    assert {r.resolve().dataset.name for r in requests} == {"mnist-5k"}
