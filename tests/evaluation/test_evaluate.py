"""Scores afterwards, from checkpoints or from a folder."""

import dataclasses
import errno
import json

import numpy as np
import pytest
from PIL import Image
from support.scored import folder_of, tiny, values

from jaxgan.data import from_arrays
from jaxgan.errors import UserError
from jaxgan.evaluation import evaluate as evaluation
from jaxgan.evaluation.evaluate import evaluate, score_folder
from jaxgan.metrics.scores import UnlikeProtocolError
from jaxgan.runs.score_log import training_scores
from jaxgan.sampling.sampler import load
from jaxgan.training.loop import train


@pytest.mark.slow
def test_evaluation_gives_the_number_of_training_bit_for_bit_every_time(run):
    first, second = evaluate(run[0])["fd"], evaluate(run[0])["fd"]
    assert first == second and first.value == values(run[0])[6]
    assert json.loads((run[0] / "evaluation.jsonl").read_bytes().splitlines()[-1])["by"] == "evaluate"


@pytest.mark.slow
def test_a_folder_of_a_runs_own_samples_scores_as_the_run(run, tmp_path):
    load(run[0]).save(f"{tmp_path}/", 24)
    of_folder = score_folder(tmp_path, tiny())["fd"]
    assert of_folder.value == pytest.approx(evaluate(run[0])["fd"].value, rel=1e-6)
    assert of_folder.protocol.weights == "folder" and of_folder.protocol.checkpoint == str(tmp_path)


def test_a_folder_of_images_of_other_channels_is_refused(tmp_path):
    for name in "ab":
        Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / f"{name}.png")
    with pytest.raises(UserError, match=r"images of shape \(8, 8, 3\), but embedded/digits has \(8, 8, 1\)"):
        score_folder(tmp_path, tiny())


@pytest.mark.slow
def test_a_folder_of_gray_images_written_with_three_channels_scores_as_gray(tmp_path):
    gray = folder_of(tmp_path / "gray", 0).data.data_dir
    (tmp_path / "three").mkdir()
    for path in (tmp_path / "gray").iterdir():
        Image.open(path).convert("RGB").save(tmp_path / "three" / path.name)
    first, second = (score_folder(folder, tiny())["fd"] for folder in (gray, tmp_path / "three"))
    assert first.value == second.value


@pytest.mark.slow
def test_a_folder_of_images_of_another_size_has_another_protocol(tmp_path, capsys):
    folder_of(tmp_path / "same", 0)
    folder_of(tmp_path / "larger", 0)
    path = tmp_path / "larger" / "00.png"
    Image.open(path).resize((12, 16)).save(path)
    same, larger = (score_folder(tmp_path / name, tiny())["fd"] for name in ("same", "larger"))
    assert "1 of the 12 images of " in capsys.readouterr().out
    assert (same.protocol.resize, larger.protocol.resize) == ("none", "the folder's images to 8x8")
    with pytest.raises(UnlikeProtocolError, match="resize"):
        same.better_than(larger)


@pytest.mark.slow
def test_images_that_are_not_scored_do_not_count_as_resized(tmp_path, capsys):
    """Of twelve images the first, fourth, seventh and tenth are scored; the second is of another size."""
    folder_of(tmp_path / "images", 0)
    path = tmp_path / "images" / "01.png"
    Image.open(path).resize((12, 16)).save(path)
    found = score_folder(tmp_path / "images", tiny(), num_images=4)["fd"]
    assert found.protocol.resize == "none" and "resampled" not in capsys.readouterr().out
    assert score_folder(tmp_path / "images", tiny())["fd"].protocol.resize == "the folder's images to 8x8"


@pytest.mark.slow
def test_a_folder_is_scored_against_the_data_of_a_run_and_recorded_with_it(run, tmp_path):
    load(run[0]).save(f"{tmp_path}/", 24)
    found = score_folder(tmp_path, workdir=run[0])["fd"]
    assert found == score_folder(tmp_path, tiny())["fd"]
    last = json.loads((run[0] / "evaluation.jsonl").read_bytes().splitlines()[-1])
    assert (last["by"], last["scores"][0]["protocol"]["weights"]) == ("evaluate", "folder")


def test_a_folder_needs_data_to_be_compared_with(tmp_path):
    with pytest.raises(UserError, match="give config= or workdir="):
        score_folder(tmp_path)


@pytest.mark.slow
def test_a_folder_is_scored_against_images_that_are_not_square(tmp_path, capsys):
    folder_of(tmp_path / "images", 0)
    wide = from_arrays(np.random.RandomState(0).randint(0, 256, (12, 8, 12), np.uint8))
    found = score_folder(tmp_path / "images", tiny(eval__features="random"), source=wide)["fd"]
    assert (found.protocol.n_fake, found.protocol.resize) == (12, "the folder's images to 8x12")
    assert "cropped to 8x12's proportions, which loses 33% of their pixels on average" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("names", [("train", "test"), ("fake", "test"), ("cat", "dog", "val")])
def test_a_folder_is_scored_whole_whatever_its_sub_folders_are_called(tmp_path, names):
    for name in names:
        folder_of(tmp_path / "images" / name, 0)
    folder_of(tmp_path / "images", 1)
    found = score_folder(tmp_path / "images", tiny(eval__features="random"))["fd"]
    assert found.protocol.n_fake == 12 * (len(names) + 1)


@pytest.mark.slow
def test_a_folders_bad_images_are_skipped_on_request(tmp_path):
    folder_of(tmp_path / "images", 0)
    (tmp_path / "images" / "00.png").write_bytes(b"torn")
    with pytest.raises(UserError, match="on_bad_image"):
        score_folder(tmp_path / "images", tiny())
    found = score_folder(tmp_path / "images", tiny(data__on_bad_image="skip"))["fd"]
    assert found.protocol.n_fake == 11 and found.protocol.resize == "none"


@pytest.mark.slow
def test_scores_that_cannot_be_recorded_are_given_all_the_same(run, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(evaluation.score_log, "record", full)
    assert evaluate(run[0])["fd"].value == values(run[0])[6]
    assert "cannot be written to" in capsys.readouterr().out


@pytest.mark.slow
def test_the_best_checkpoint_is_of_the_newest_protocol(tmp_path):
    """Scores of fewer real examples, which are of another protocol, are lower or not, but never the best."""
    few = tiny(eval__num_real=4, train__num_steps=4, train__keep=9)
    train(few, tmp_path)
    all_of_them = dataclasses.replace(few, eval=tiny().eval, train=dataclasses.replace(few.train, num_steps=6))
    train(all_of_them, tmp_path)
    assert int(load(tmp_path, checkpoint="best").state.step) == 6
    keys = [{score.key for score in training_scores(tmp_path / "evaluation.jsonl", "fd", last)} for last in (4, 6)]
    assert len(keys[0]) == len(keys[1]) == 1 and keys[0] != keys[1]


@pytest.mark.slow
def test_the_eval_section_of_another_configuration_may_stand_for_the_runs_own(run):
    assert evaluate(run[0], config=tiny(eval__num_samples=20))["fd"].protocol.n_fake == 20


@pytest.mark.parametrize(("checkpoint", "sentence"), [("3", "one of the steps"), ("newest", "latest, best, or one")])
def test_a_checkpoint_that_is_not_there_is_refused(run, checkpoint, sentence):
    with pytest.raises(UserError, match=sentence):
        load(run[0], checkpoint=checkpoint)


@pytest.mark.slow
def test_a_run_on_examples_of_the_caller_is_evaluated_with_them_only(tmp_path, tiny_digits):
    images = tiny_digits[0][:32]
    train(tiny(train__num_steps=2), tmp_path, source=images)
    with pytest.raises(UserError, match="trained on other examples"):
        evaluate(tmp_path)
    assert evaluate(tmp_path, source=images)["fd"].value == values(tmp_path)[2]


@pytest.mark.slow
def test_points_are_compared_as_they_are(tmp_path):
    config = tiny(
        data__source="synthetic", data__name="ring", data__image_size=0, model__output="linear", eval__metrics=["fd"]
    )
    train(config, tmp_path)
    assert evaluate(tmp_path)["fd"].protocol.features == "coordinates"


def test_what_is_not_evaluated_while_it_trains_is_refused_by_evaluation_only(run, monkeypatch):
    """Before anything is read."""
    monkeypatch.setattr(evaluation, "RunData", None)
    for change, sentence in (
        ({"eval__metrics": []}, "eval.metrics is empty"),
        ({"eval__metrics": ["recall"], "eval__num_samples": 5}, "num_samples is 5"),
        ({"eval__num_real": 1}, "num_real is 1"),
    ):
        with pytest.raises(UserError, match=sentence):
            evaluate(run[0], config=tiny(eval__every=0, **change))


@pytest.mark.slow
@pytest.mark.parametrize(("num", "said"), [(3, False), (12, False), (13, True), (None, False)])
def test_fewer_images_than_asked_for_are_said(tmp_path, capsys, num, said):
    folder_of(tmp_path / "images", 0)
    found = score_folder(tmp_path / "images", tiny(), num_images=num)["fd"]
    assert found.protocol.n_fake == min(num or 12, 12)
    assert ("has 12 images, fewer than the 13 asked for" in capsys.readouterr().out) == said


def test_a_folder_of_too_few_images_is_refused_before_features_are_computed(tmp_path, monkeypatch):
    folder_of(tmp_path / "images", 0)
    monkeypatch.setattr(evaluation, "Reference", None)  # would be called
    for i in range(5, 12):
        (tmp_path / "images" / f"{i:02d}.png").unlink()
    config = tiny(eval__metrics=["recall"], eval__best_metric="recall")
    with pytest.raises(UserError, match=r"the number of images in .*images is 5, but 'recall' of eval.metrics needs 6"):
        score_folder(tmp_path / "images", config)
