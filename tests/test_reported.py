"""The papers' numbers: read with their digits, and checked against each other."""

import dataclasses
import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from fer_core import reported
from fer_core.errors import ConfigError, RunError
from fer_core.labels import CLASS_NAMES
from fer_core.models.arguments import DEEPENING
from fer_core.models.specs import MODELS
from fer_core.models.systems import feeling_it
from fer_core.reported import consistency, reading
from fer_core.training.config import config_of_entry
from tests.conftest import PROJECT

PAPERS = ("kumar_ukken", "feeling_it", "ugwu_rafdb", "patil_thesis")
DIGEST = "a84146a42fa58c24f9474ba1c56a033779ce0be68045a34baae2ff69f60a3ea0"
SHARED = PROJECT.parent / "shared" / "reported" / reading.FILE
TEXTS = PROJECT.parent / "shared" / "papers"
HEADER = "paper,system,dataset,metric,class_name,value,where,note\n"
GOOD = "kumar_ukken,VGG16_modified,fer2013,accuracy,,0.584,Figure 11,\n"
# Feeling It, Table 2, "No Mask with Overfitting control": one line of it as printed.
BASELINE = dict(
    zip(
        ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
        (55.52, 21.69, 42.14, 79.74, 51.99, 44.39, 66.90),
        strict=True,
    )
)


@pytest.fixture(scope="module")
def table():
    return reported.read()


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "reported_metrics.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def value(table, system, metric, where, class_name=""):
    rows = table[(table["system"] == system) & (table["metric"] == metric) & (table["where"] == where)]
    return rows.loc[rows["class_name"] == class_name, "value"].item()


def sentences(paper, **wanted):
    found = reported.contradictions(paper)
    return [check.sentence for check in found if all(getattr(check, name) == it for name, it in wanted.items())]


# Reading


def test_the_numbers_are_those_of_the_papers(table):
    assert len(table) == 522
    assert value(table, "VGG16_modified", "accuracy", "Figure 11") == 0.584
    assert value(table, "VGG16_modified", "accuracy", "section 4.5, classification report") == 0.6163276678740597
    assert value(table, "VGG16_modified", "tpr", "section 4.5", "surprise") == 0.76
    assert value(table, "VGG16_modified", "fpr", "section 4.5", "sad") == 0.11
    assert value(table, "VGG16_mod_noise", "f1", "Figure 14", "disgust") == 0.1333
    for name, percent in BASELINE.items():
        cell = value(table, "VGG-16:no_mask_overfitting_control", "recall", "Table 2", name)
        assert cell == pytest.approx(percent / 100)
    assert value(table, "ResNet50:nose_and_mouth_mask", "weighted_f1", "Table 3") == 0.1444
    assert value(table, "cnn:batch_size=2048", "val_loss", "Table 4") == 0.6851
    assert value(table, "svm_fer2013", "support", "section 4.4", "happy") == 2284
    assert value(table, "cnn_ckplus", "param_count", "Fig 3.8") == 4_062_535


def test_no_number_of_the_papers_has_changed():
    """Whoever mends one, by the paper, changes the digest too."""
    text = (PROJECT / "artifacts" / "reported" / reading.FILE).read_text(encoding="utf-8")
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST


@pytest.mark.skipif(not SHARED.is_file(), reason="needs the table that ours was copied from beside the checkout")
def test_the_numbers_are_those_that_were_copied(table):
    """Ours has more rows and digits, none that differs in what both have."""
    theirs = reported.read(SHARED)
    both = theirs.merge(table, on=list(reading.KEY), how="left", suffixes=("", "_ours"))
    assert len(both) == len(theirs) == 423
    np.testing.assert_allclose(both["value_ours"], both["value"], atol=5e-8, rtol=0)  # theirs has 7 digits


def test_the_supports_are_those_of_public_test(table):
    """Why Kumar & Ukken stand beside val: fer2013.json counts the pictures of each class in each split."""
    rows = table[(table["system"] == "VGG16_modified") & (table["metric"] == "support") & (table["class_name"] != "")]
    supports = dict(zip(rows["class_name"], rows["value"], strict=True))
    assert list(supports.values()) == [467, 56, 496, 895, 653, 415, 607]
    facts = json.loads((PROJECT / "artifacts" / "datasets" / "fer2013.json").read_text(encoding="utf-8"))
    assert facts["counts"]["val"] == supports
    assert reported.papers()["kumar_ukken"].split == "val"
    assert {reported.papers()[key].split for key in PAPERS[1:]} == {"test"}


def test_trailing_zeros_that_a_table_drops_count_as_digits(table):
    at = (table["system"] == "VGG16_modified") & (table["where"] == "Figure 11")
    assert table.loc[at & (table["metric"] == "mean_fpr"), "unit"].item() == pytest.approx(1e-4)  # printed: 0.065
    svm = (table["system"] == "svm_fer2013") & (table["class_name"] == "happy")
    assert table.loc[svm & (table["metric"] == "recall"), "unit"].item() == pytest.approx(1e-2)
    assert table.loc[svm & (table["metric"] == "support"), "unit"].item() == 0


def test_systems_are_those_the_paper_trained(table):
    assert reported.systems(table, "kumar_ukken") == [
        "MobileNet_freezed",
        "VGG16_freezed",
        "Xception_freezed",
        "ResNet50_freezed",
        "MobileNet_modified",
        "VGG16_modified",
        "VGG16_mod_noise",
        "VGG16_mod_face",
    ]
    assert len(reported.systems(table, "feeling_it")) == 10
    assert len(reported.systems(table, "ugwu_rafdb")) == 17
    assert reported.systems(table, "patil_thesis") == ["cnn_fer2013", "cnn_ckplus", "svm_ckplus", "svm_fer2013"]


def test_papers_say_what_they_print_and_nothing_else():
    papers = reported.papers()
    assert tuple(papers) == ("kumar_ukken", "feeling_it", "ugwu_rafdb", "patil_thesis")
    assert [paper.year for paper in papers.values()] == [None, None, None, 2023]
    assert not any(paper.links for paper in papers.values())
    assert "learning rate 1e-4" in papers["feeling_it"].protocol["optimizer"]
    assert papers["kumar_ukken"].protocol["epochs"] == "not printed"


def test_what_is_said_of_our_choices_is_what_the_recipes_hold():
    chosen = {key: "\n".join(paper.choices) for key, paper in reported.papers().items()}
    frozen, tuned = (config_of_entry(MODELS[name]) for name in ("vgg16_frozen", "vgg16_finetuned"))
    assert frozen.patience == tuned.patience == 0 and frozen.select == tuned.select == "best"
    for config, words in ((frozen, "frozen"), (tuned, "fine-tuned")):
        assert re.search(rf"{config.epochs}( epochs)? of the {words}", chosen["kumar_ukken"])
        assert f"{config.batch_size} {words}" in chosen["kumar_ukken"]
    assert f"to {MODELS['vgg16_frozen']['input_size']}x160" in chosen["kumar_ukken"]
    assert (tuned.augmentation.rotation, tuned.augmentation.zoom, tuned.augmentation.flip) == (10.0, 0.1, 0.5)
    assert MODELS["vgg16_finetuned_noise"]["arguments"]["noise"] == 0.1
    plain = config_of_entry(MODELS["vgg16_plain"])
    assert (plain.initial_weights, plain.select, plain.monitor) == ("imagenet", "best", "val_loss")
    assert "ImageNet weights" in chosen["feeling_it"] and "the best validation loss" in chosen["feeling_it"]
    assert "initial_weights" not in feeling_it.PRINTED
    assert f"{DEEPENING[1]} filters in the second" in chosen["ugwu_rafdb"]
    assert MODELS["ugwu_depth_4"]["recipe"]["augmentation"]["zoom"] == 0.2
    patil = config_of_entry(MODELS["patil_cnn"])
    assert f"after {patil.patience} epochs" in chosen["patil_thesis"] and patil.monitor == "val_accuracy"
    assert f"Dropout {MODELS['patil_cnn']['arguments']['dropout']}" in chosen["patil_thesis"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "paper,system,dataset,metric,class_name,value,where\n",
            "line 1: unknown columns [], missing columns ['note']",
        ),
        (HEADER.replace("note", "remark"), "line 1: unknown columns ['remark'], missing columns ['note']"),
        (
            HEADER + GOOD + GOOD.replace("0.584", "58.4").replace("11", "13"),
            "line 3: accuracy is 58.4; expected 0 to 1",
        ),
        (HEADER + GOOD.replace("0.584", "-0.1"), "line 2: accuracy is -0.1"),
        (HEADER + GOOD.replace("0.584", "nan"), "line 2: accuracy is nan"),
        (HEADER + GOOD.replace("accuracy", "param_count").replace("0.584", "inf"), "line 2: param_count is inf"),
        (HEADER + GOOD.replace("0.584", "58 %"), "line 2: '58 %' is no number"),
        (HEADER + GOOD.replace("accuracy", "acuracy"), "line 2: unknown metric 'acuracy'"),
        (HEADER + GOOD.replace("accuracy,", "recall,joy"), "line 2: unknown class 'joy'"),
        (HEADER + GOOD.replace("VGG16_modified", " "), "line 2: system is empty"),
        (HEADER + GOOD + GOOD.replace("0.584", "0.585"), "line 3 repeats line 2"),
        (HEADER + "kumar_ukken,a,fer2013,accuracy,,0.5\n", "line 2: expected 8 fields"),
        (HEADER + GOOD.replace("Figure 11,", "section 4.5, report,"), "line 2: expected 8 fields"),
    ],
)
def test_a_bad_line_is_named(write, text, words):
    path = write(text)
    with pytest.raises(ConfigError) as error:
        reported.read(path)
    assert str(path) in error.value.problem
    assert words in error.value.problem
    assert error.value.remedy


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(RunError, match=r"reported_metrics\.csv is missing"):
        reported.read(tmp_path / "reported_metrics.csv")
    (tmp_path / "papers.json").write_text('{"a": {"title": 1}}', encoding="utf-8")
    with pytest.raises(RunError, match=r"papers\.json is damaged"):
        reported.papers(tmp_path / "papers.json")


def test_own_artifacts_folder_comes_first_and_the_project_has_the_numbers_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_ARTIFACTS_DIR", str(tmp_path))
    assert reading.folder() == PROJECT / "artifacts" / "reported"
    (tmp_path / "reported").mkdir()
    (tmp_path / "reported" / "reported_metrics.csv").write_text(HEADER + GOOD, encoding="utf-8")
    assert len(reported.read()) == 1


# Contradictions


def test_two_accuracies_of_one_model_are_found():
    (sentence,) = sentences("kumar_ukken", kind="values", metric="accuracy")
    assert sentence == (
        "VGG16_modified, accuracy: 0.584 in Figure 11, Figure 13, Figure 15, section 4.5; "
        "0.6163 in section 4.5, classification report."
    )
    (weighted,) = sentences("kumar_ukken", kind="definition", metric="accuracy")
    assert weighted.startswith("VGG16_modified: accuracy is 0.584 in Figure 11")
    assert weighted.endswith("gives 0.6163.")


def test_mean_rates_that_differ_between_figures_are_found():
    (tpr,) = sentences("kumar_ukken", kind="values", metric="mean_tpr")
    assert "0.5976 in Figure 11; 0.5357 in Figure 13; 0.6021 in Figure 15" in tpr
    (fpr,) = sentences("kumar_ukken", kind="values", metric="mean_fpr")
    assert "0.065 in Figure 11; 0.0657 in Figure 13; 0.0643 in Figure 15" in fpr
    assert not sentences("kumar_ukken", kind="values", metric="macro_f1")  # 0.6032 and 0.6031: truncated or rounded
    assert not sentences("kumar_ukken", kind="values", metric="f1")


def test_the_mean_of_printed_recalls_is_not_every_printed_mean(table):
    recalls = [0.52248394, 0.53571429, 0.52620968, 0.7698324, 0.5191424, 0.76144578, 0.54859967]
    assert sum(recalls) / 7 == pytest.approx(0.5976, abs=5e-5)
    found = sentences("kumar_ukken", kind="definition", metric="mean_tpr")
    assert [sentence.split(";")[0] for sentence in found] == [
        "VGG16_modified: mean TPR is 0.5357 in Figure 13",
        "VGG16_modified: mean TPR is 0.6021 in Figure 15",
    ]
    assert all("per-class values of recall in section 4.5 is 0.5976" in sentence for sentence in found)
    assert found[0].endswith("(0.5357 is that of disgust alone).")  # 15 of 28 pictures: 0.535714
    holding = [check for check in reported.checks("kumar_ukken", table) if check.holds and check.metric == "mean_tpr"]
    assert any("0.5976 in Figure 11" in check.sentence for check in holding)


def test_a_macro_f1_that_is_not_the_mean_is_found():
    (sentence,) = sentences("kumar_ukken", kind="definition", metric="macro_f1")
    mean = (0.3605 + 0.4576 + 0.3387 + 0.5978 + 0.4371 + 0.6508 + 0.4125) / 7
    assert mean == pytest.approx(0.465, abs=1e-4)
    assert sentence.startswith("ResNet50_freezed: macro F1 is 0.458 in Figure 5")
    assert "is 0.465" in sentence


def test_mean_fpr_that_the_accuracy_rules_out_is_found():
    """1 - 0.4784 of 3,589 answers are wrong; the rarest class has 56 pictures, the largest 895."""
    low, high = 3589 * 0.5216 / 7 / (3589 - 56), 3589 * 0.5216 / 7 / (3589 - 895)
    found = sentences("kumar_ukken", kind="definition", metric="mean_fpr")
    assert f"between {low:.4f} and {high:.4f}" in found[0]
    assert found[0].startswith("VGG16_freezed: mean FPR is 0.0743")
    assert found[1].startswith("VGG16_mod_face: mean FPR is 0.0643")
    assert len(found) == 2


def test_bounds_of_the_mean_fpr_hold_for_any_predictions(table):
    rng = np.random.default_rng(0)
    counts = [467, 56, 496, 895, 653, 415, 607]
    y_true = np.repeat(np.arange(7), counts)
    support = table[table["metric"] == "support"]
    for skill in (0.0, 0.3, 0.8):
        y_pred = np.where(rng.random(len(y_true)) < skill, y_true, rng.integers(0, 7, len(y_true)))
        matrix = confusion_matrix(y_true, y_pred)
        fpr = (matrix.sum(0) - np.diag(matrix)) / (len(y_true) - matrix.sum(1))
        rows = support[support["paper"] == "kumar_ukken"].to_dict("records")
        place = {"paper": "kumar_ukken", "system": "x", "dataset": "fer2013", "class_name": "", "unit": 1e-9}
        place |= {"where": "here", "note": "", "line": 0}
        rows += [place | {"metric": "mean_fpr", "value": fpr.mean()}]
        rows += [place | {"metric": "accuracy", "value": (y_true == y_pred).mean()}]
        of_x = consistency.printed(pd.DataFrame(rows))
        (check,) = consistency._mean_fprs([row for row in of_x if row.system == "x"], of_x)
        assert check.holds, check.sentence


def test_claims_that_the_tables_contradict_are_found():
    ugwu = sentences("ugwu_rafdb", kind="claim")
    assert any("0.1525 for cnn:learning_rate=0.001" in s and "0.0027 for cnn:learning_rate=0.01" in s for s in ugwu)
    assert any("0.1015 for cnn:depth=4" in s and "0.0841 for cnn:depth=3" in s for s in ugwu)
    assert any("0.7947 for cnn:depth=4" in s and "0.7956 for cnn:depth=5" in s for s in ugwu)
    assert any("validation loss is 1.1369 for cnn:depth=4, and 1.0095 for cnn:depth=5 (" in s for s in ugwu)
    assert not any("batch_size=2048" in s for s in ugwu), "the smallest discrepancy is all that the text claims of it"
    assert len(ugwu) == 5
    kumar = sentences("kumar_ukken", kind="claim")
    assert any("0.6031 for VGG16_modified, and 0.6131 for VGG16_mod_face" in s for s in kumar)
    (better,) = [s for s in kumar if "MobileNetV2 and VGG16 showed better" in s]  # true of macro F1, not of accuracy
    assert better.endswith(
        "accuracy is 0.4784 for VGG16_freezed, and 0.4873 for Xception_freezed, 0.4823 for ResNet50_freezed (Figure 5)."
    )
    sad, highest, _ = sentences("feeling_it", kind="claim")
    assert "recall sad is 0.4439 for VGG-16:no_mask_overfitting_control" in sad
    assert "0.5641 for VGG-16:no_mask_no_overfitting_control, and 0.5825 for VGG-16:no_mask_overf" in highest


def test_claims_about_all_classes_are_found_and_can_hold(table):
    (half,) = sentences("patil_thesis", kind="claim")
    told = "recall is above one half in 3 of the 6 classes but fear, and 0.27 for angry, 0.32 for sad, 0.36 for neutral"
    assert half.endswith(f"(section 4.4): {told} (section 4.4).")
    *_, split = sentences("feeling_it", kind="claim")
    disgust, neutral = 83 / (551 + 83), 1181 / (4580 + 1181)
    assert f"from {disgust:.4f} of disgust to {neutral:.3f} of neutral in Table 1" in split
    better = table.copy()
    better.loc[(better["system"] == "svm_fer2013") & (better["class_name"] == "sad"), "value"] = 0.51
    better.loc[better["metric"] == "train_count", "value"] = 400
    better.loc[better["metric"] == "validation_count", "value"] = 100
    better.loc[(better["metric"] == "validation_count") & (better["class_name"] == "sad"), "value"] = 101
    for paper, metric in (("patil_thesis", "recall"), ("feeling_it", "validation_count")):
        found = [one for one in reported.checks(paper, better) if one.kind == "claim" and one.metric == metric]
        assert [one.holds for one in found] == [True]
    with pytest.raises(ConfigError, match="train_count per class of dataset, Table 1, which is not printed"):
        reported.checks("feeling_it", table[table["metric"] != "train_count"])


def test_a_baseline_that_text_and_table_name_differently_is_found(table):
    sentence, figure = sentences("feeling_it", kind="naming")
    assert "in section Saliency Mapping (" in sentence
    assert figure.startswith("the model of Figure 6: VGG-16:no_mask_overfitting_control in its caption (")
    assert sentence.startswith("the baseline of ResNet50: ResNet50:no_mask_no_overfitting_control in section ResNet-50")
    assert "; ResNet50:no_mask_overfitting_control in Table 3 (" in sentence
    (held,) = [check for check in reported.checks("feeling_it", table) if check.kind == "naming" and check.holds]
    assert held.sentence.startswith("the baseline of VGG-16: ")
    for paper in reported.papers().values():
        named = {system for naming in paper.namings for system, _, _ in naming.named}
        assert named <= set(reported.systems(table, paper.key))


def test_words_that_contradict_each_other_are_found_with_their_places_and_what_is_followed(table):
    depth, convolutions, epochs = sentences("ugwu_rafdb", kind="wording")
    assert depth.startswith("what a depth counts: the convolutions beside the first two in the notes below Table 3 (")
    assert "all convolutions in Experiments, 1 (\u201cutilizing a network depth of 2\u201d), Experiments, 3 (" in depth
    assert depth.endswith("Our systems go by: all convolutions.")
    assert convolutions.endswith(
        "four in Figure 4 (\u201cAdditional Convolutional Layer 2 (layer 4)\u201d). Our systems go by: two."
    )
    assert MODELS["ugwu_lr_0.001"]["arguments"]["depth"] == 2 and "10 in Figure 5 (" in epochs
    assert min(MODELS[name]["recipe"]["epochs"] for name in MODELS if name.startswith("ugwu")) == 50
    augmentation, faces = sentences("kumar_ukken", kind="wording")
    assert "detection and cropping in section 3.4.4 (" in faces and MODELS["vgg16_finetuned_faces"]["recipe"]["faces"]
    assert "rotations, shifts, and flips\u201d); rotations, flips and zooming in section 3.4.2" in augmentation
    (size,) = sentences("feeling_it", kind="wording")
    assert "48x48 in section Data (" in size and MODELS["vgg16_plain"]["input_size"] == 128
    model, classes, used, last, rows = sentences("patil_thesis", kind="wording")
    assert "five in section 2.1 (" in used and "seven in section 1.2 (" in used
    assert last.endswith("Our systems go by: softmax.") and rows.endswith("Our systems go by: true classes.")
    assert "using SVM model\u201d)" in model and "a CNN in its text (" in model
    assert "six in section 6 (\u201cCK+ contains only six\u201d)" in classes
    from_recipe = MODELS["vgg16_finetuned"]["recipe"]["augmentation"]
    assert {"rotation", "zoom", "flip"} == set(from_recipe)
    assert MODELS["ugwu_depth_6"]["arguments"]["depth"] == len(DEEPENING) == 6
    assert MODELS["patil_cnn_ckplus"]["builder"] == "asymmetric_cnn"


def test_words_that_mean_the_same_contradict_nothing(tmp_path):
    record = json.loads((PROJECT / "artifacts" / "reported" / "papers.json").read_text(encoding="utf-8"))
    wording, _ = record["kumar_ukken"]["wordings"]
    same = [["alike", where, says] for _, where, says in wording["said"]]
    record["kumar_ukken"]["wordings"] = [wording | {"said": same, "follows": "alike"}]
    file = tmp_path / "papers.json"
    file.write_text(json.dumps(record), encoding="utf-8")
    (read,) = reported.papers(file)["kumar_ukken"].wordings
    assert consistency._wording("kumar_ukken", read).holds
    record["kumar_ukken"]["wordings"] = [wording | {"follows": "something else"}]
    file.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(RunError, match=r"papers\.json is damaged.*nowhere is said what is followed"):
        reported.papers(file)


@pytest.mark.skipif(not TEXTS.is_dir(), reason="needs the texts of the papers beside the checkout")
def test_every_quotation_stands_in_its_paper():
    plain = [re.sub(r"[\\*]", "", path.read_text(encoding="utf-8")) for path in TEXTS.glob("*.txt")]  # without Markdown
    texts = [" ".join(text.split()) for text in plain]
    for paper in reported.papers().values():
        (text,) = [text for text in texts if paper.title.lower() in text[:300].lower()]
        quoted = [claim.says for claim in paper.claims]
        quoted += [says for naming in paper.namings for _, _, says in naming.named]
        quoted += [says for wording in paper.wordings for _, _, says in wording.said]
        for says in quoted:
            for part in says.split("..."):
                assert part.strip() in text, (paper.key, says)


def test_every_discrepancy_is_the_difference_it_says(table):
    held = [check for check in reported.checks("ugwu_rafdb", table) if check.kind == "definition"]
    assert len(held) == 17
    assert all(check.holds for check in held)
    wrong = table.copy()
    wrong.loc[(wrong["system"] == "cnn:depth=3") & (wrong["metric"] == "discrepancy"), "value"] = 0.195
    (found,) = [check for check in reported.contradictions("ugwu_rafdb", wrong) if check.kind == "definition"]
    assert found.sentence == (
        "cnn:depth=3: discrepancy is 0.195 in Table 3; 0.9703 in training minus 0.7803 in validation is 0.19."
    )


def test_feeling_its_tables_agree_with_its_class_counts(table):
    """Accuracy is recall, weighted by the validation images of Table 1, in all ten systems."""
    held = [check for check in reported.checks("feeling_it", table) if check.metric in ("accuracy", "weighted_f1")]
    assert sum(check.kind == "definition" and check.holds for check in held) == 20
    (worse,) = sentences("feeling_it", kind="implausible")
    assert f"get {1752 / 6488:.4f}".rstrip("0") in worse
    assert worse.startswith("ResNet50:nose_and_mouth_mask: accuracy is 0.2022")


def test_numbers_nobody_else_gets_are_found_with_their_source():
    found = sentences("patil_thesis", kind="implausible")
    assert found[0].startswith("cnn_fer2013: accuracy is 0.8778 on fer2013 in Conclusion")
    assert "people 0.65 ± 0.05 ([Goodfellow et al. 2013](https://arxiv.org/abs/1307.0414))" in found[0]
    assert found[1].endswith(
        "published: the highest claim known to us 0.7979 ([Roy et al. 2024](https://arxiv.org/abs/2409.10545))."
    )
    assert len(found) == 5  # its own, three that it cites, and more test pictures than were selected
    assert not any("71.2" in sentence or "0.712" in sentence for sentence in found)
    assert found[4] == (
        "svm_fer2013: tested on 8,972 pictures of 7 classes in section 4.4; in section 2.1, 7,074 pictures of 5 "
        "classes were selected of fer2013."
    )
    (five,) = sentences("patil_thesis", kind="definition")
    assert "7,074 pictures in all" in five
    assert "add up to 7,094" in five  # 966 + 859 + 2477 + 1466 + 1326


def test_rounding_alone_contradicts_nothing(write, monkeypatch):
    """Numbers of one made-up model, printed to two or four places by a spreadsheet that drops zeros."""
    nothing_claimed = {"patil_thesis": dataclasses.replace(reported.papers()["patil_thesis"], claims=())}
    monkeypatch.setattr(consistency, "papers", lambda: nothing_claimed)
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.integers(0, 7, 1000), rng.integers(0, 7, 1000)
    y_pred[:500] = y_true[:500]
    recalls = recall_score(y_true, y_pred, average=None)
    precisions = precision_score(y_true, y_pred, average=None)
    lines = [f"patil_thesis,m,d,mean_tpr,,{round(recalls.mean(), 4)},T,"]
    lines += [f"patil_thesis,m,d,accuracy,,{(y_true == y_pred).mean():.2f},T,"]
    for at, name in enumerate(CLASS_NAMES):
        f1 = 2 * recalls[at] * precisions[at] / (recalls[at] + precisions[at])
        numbers = {"recall": recalls[at], "precision": precisions[at], "f1": f1}
        lines += [f"patil_thesis,m,d,{metric},{name},{number:.2f},T," for metric, number in numbers.items()]
        lines += [f"patil_thesis,m,d,support,{name},{(y_true == at).sum()},T,"]
    table = reported.read(write(HEADER + "\n".join(lines) + "\n"))
    checked = [check for check in reported.checks("patil_thesis", table) if check.kind != "wording"]
    assert {check.metric for check in checked} >= {"mean_tpr", "accuracy", "f1"}
    assert all(check.holds for check in checked), [check.sentence for check in checked if not check.holds]


def test_unknown_paper_and_unknown_number_of_a_claim(table):
    with pytest.raises(ConfigError, match="Unknown paper 'nobody'"):
        reported.checks("nobody")
    short = table[~((table["paper"] == "ugwu_rafdb") & (table["metric"] == "discrepancy"))]
    with pytest.raises(ConfigError, match="not among the printed numbers"):
        reported.checks("ugwu_rafdb", short)
