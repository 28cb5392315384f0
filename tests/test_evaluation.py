"""Tables of scores, their summary, and `evaluate` on files and folders."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from organnet.errors import OrganNetError
from organnet.evaluation import (
    METRIC_COLUMNS,
    evaluate,
    match_cases,
    metrics_table,
    read_metrics,
    refuse_to_replace,
    summarise,
    table_text,
    write_metrics,
)
from organnet.files import read_json, write_json
from organnet.metrics import OrganScore, score_case
from organnet.organs import ORGAN_NAMES, ORGANS
from organnet.paper import PAPER, PAPER_RESULTS, PAPER_SOURCES, mean_dsc
from organnet.volume import Volume, write_volume

SPACING_MM = (3.0, 1.0, 1.0)


def a_score(organ, dsc=0.8, status="scored"):
    if status == "not drawn":
        return OrganScore(organ, math.nan, math.nan, math.nan, 0, 7, status)
    return OrganScore(organ, dsc, 2.5, 0.9, 100, 90, status)


@pytest.fixture
def table():
    """Two cases; Chiasm drawn in none, Mandible missed in one, Parotid_L drawn in one."""
    scores = {}
    for case, dsc in (("b", 0.6), ("a", 0.8)):
        scores[case] = [a_score(name, dsc) for name in ORGAN_NAMES]
        scores[case][1] = a_score("Chiasm", status="not drawn")
    scores["a"][2] = OrganScore("Mandible", 0.0, 300.0, 0.0, 100, 0, "prediction empty")
    scores["a"][5] = a_score("Parotid_L", status="not drawn")
    return metrics_table(scores)


def label_map(shift=0, shape=(6, 12, 24), labels=range(1, 10)):
    array = np.zeros(shape, np.uint8)
    for label in labels:
        array[1:4, 2:6, 2 * label + shift : 2 * label + shift + 2] = label
    return Volume(array, SPACING_MM)


def write_case(folder, volume):
    for organ in ORGANS:
        mask = (volume.array == organ.label).astype(np.uint8)
        if mask.any():
            write_volume(volume.with_array(mask), folder / "structures" / f"{organ.name}.nrrd")


def test_table_has_nine_rows_a_case(table):
    assert tuple(table.columns) == METRIC_COLUMNS
    assert len(table) == 18
    assert list(table["organ"][:9]) == list(ORGAN_NAMES)


def test_metrics_csv_comes_back_and_is_the_same_twice(table, tmp_path):
    for name in ("once.csv", "twice.csv"):
        write_metrics(table, tmp_path / name)
    assert (tmp_path / "once.csv").read_bytes() == (tmp_path / "twice.csv").read_bytes()
    back = read_metrics(tmp_path / "once.csv")
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    write_metrics(back, tmp_path / "again.csv")
    assert (tmp_path / "once.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()


def test_case_names_stay_text(table, tmp_path):
    for name in ("0014", "NA", "null"):
        write_metrics(table.assign(case=name), tmp_path / "metrics.csv")
        assert set(read_metrics(tmp_path / "metrics.csv")["case"]) == {name}


@pytest.mark.parametrize(
    "content",
    [
        *("", "case,organ\n", ",".join(METRIC_COLUMNS) + "\na,Chiasm,1,1,1,1,1,fine\n"),
        ",".join(METRIC_COLUMNS) + "\na,Chiasm,good,1,1,1,1,scored\n",
    ],
)
def test_another_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(OrganNetError, match=r"metrics\.csv"):
        read_metrics(tmp_path / "metrics.csv")
    with pytest.raises(OrganNetError, match=r"nowhere\.csv does not exist"):
        read_metrics(tmp_path / "nowhere.csv")


def test_summary_leaves_out_the_undrawn_and_keeps_the_missed(table, tmp_path):
    summary = summarise(table)
    assert summary["cases"] == 2
    stem = summary["organs"]["BrainStem"]
    assert stem["dsc"] == pytest.approx({"mean": 0.7, "sd": math.sqrt(0.02), "median": 0.7})
    mandible = summary["organs"]["Mandible"]
    assert (mandible["n"], mandible["scored"], mandible["prediction_empty"]) == (2, 1, 1)
    assert mandible["dsc"]["mean"] == pytest.approx(0.3)
    assert mandible["hd95_mm"]["mean"] == pytest.approx(151.25)
    parotid = summary["organs"]["Parotid_L"]
    assert (parotid["n"], parotid["not_drawn"]) == (1, 1)
    assert parotid["dsc"] == {"mean": 0.6, "sd": None, "median": 0.6}
    chiasm = summary["organs"]["Chiasm"]
    assert (chiasm["n"], chiasm["not_drawn"], chiasm["dsc"]["mean"]) == (0, 2, None)
    assert summary["mean"]["organs"] == 8
    assert summary["mean"]["dsc"] == pytest.approx((6 * 0.7 + 0.3 + 0.6) / 8)
    write_json(tmp_path / "summary.json", summary)  # refuses NaN
    assert read_json(tmp_path / "summary.json") == json.loads(json.dumps(summary))


def test_summary_of_nothing_drawn_and_of_no_cases():
    undrawn = metrics_table({"a": [a_score(name, status="not drawn") for name in ORGAN_NAMES]})
    for table in (undrawn, metrics_table({})):
        summary = summarise(table)
        assert summary["mean"] == {"dsc": None, "hd95_mm": None, "surface_dice": None, "organs": 0}
        assert "mean of organs" in table_text(summary, paper=True)


def test_text_has_organs_mean_remarks_and_definitions(table):
    text = table_text(summarise(table))
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[2:11]] == list(ORGAN_NAMES)
    assert "70.0 ± 14.1" in lines[2]
    assert lines[3].split()[1:] == ["-", "-", "-", "0", "not", "drawn", "in", "2"]
    assert lines[4].endswith("prediction empty in 1")
    assert lines[12].startswith("mean of organs") and "63." in lines[12]
    assert "larger of both directed 95th percentiles" in " ".join(text.split())
    assert "Mean ± standard deviation over 2 cases." in text
    of_one = table_text(summarise(table[table["case"] == table["case"].iloc[0]]))
    assert "One case." in of_one and "±" not in of_one
    assert all(len(line) <= 100 for line in lines)
    assert "paper" not in lines[0]


def test_text_with_the_papers_column(table):
    lines = table_text(summarise(table), paper=True).splitlines()
    assert "paper DSC %" in lines[0]
    assert " 87.2" in lines[2] and " 66.3" in lines[3]
    assert lines[12].endswith("81.3")


def test_the_papers_results():
    assert set(PAPER_RESULTS) == set(PAPER_SOURCES)
    assert all(tuple(row) == ORGAN_NAMES for row in PAPER_RESULTS.values())
    assert mean_dsc(PAPER) == pytest.approx(81.28, abs=0.005)
    assert mean_dsc("AnatomyNet") == pytest.approx(79.3 + 3.8 / 9, abs=0.2)  # see its source
    assert mean_dsc("best public re-implementation") == pytest.approx(42.1, abs=0.05)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_one_file_against_another(tmp_path, suffix):
    write_volume(label_map(shift=1), tmp_path / f"predicted{suffix}")
    write_volume(label_map(), tmp_path / "truth.nrrd")
    table = evaluate(tmp_path / f"predicted{suffix}", tmp_path / "truth.nrrd")
    expected = score_case(label_map().array, label_map(1).array, SPACING_MM, set(ORGAN_NAMES))
    pd.testing.assert_frame_equal(table, metrics_table({"truth": expected}))
    assert (table["status"] == "scored").all()


def test_predictions_folder_against_case_folders(tmp_path):
    for name, labels in (("one", range(1, 10)), ("two", range(1, 8)), ("three", range(1, 10))):
        write_case(tmp_path / "data" / name, label_map(labels=labels))
    for name in ("two", "one", "else"):
        write_volume(label_map(labels=range(1, 9)), tmp_path / "predictions" / f"{name}.nrrd")
    pairs = match_cases(tmp_path / "predictions", tmp_path / "data")
    assert tuple(pairs.matched) == ("one", "two")
    assert pairs.unmatched == ("else", "three")
    table = evaluate(tmp_path / "predictions", tmp_path / "data")
    status = table.set_index(["case", "organ"])["status"]
    assert status["one", "Parotid_R"] == "scored"
    assert status["one", "Submandibular_R"] == "prediction empty"
    assert status["two", "Submandibular_R"] == "not drawn"
    # One file, or one case folder, picks its namesake.
    table = evaluate(tmp_path / "predictions" / "two.nrrd", tmp_path / "data")
    assert set(table["case"]) == {"two"}
    table = evaluate(tmp_path / "predictions", tmp_path / "data" / "one")
    assert set(table["case"]) == {"one"}
    # So does its folder of drawings.
    same = evaluate(tmp_path / "predictions", tmp_path / "data" / "one" / "structures")
    pd.testing.assert_frame_equal(same, table)


def test_an_organ_absent_from_a_reference_label_map_is_unknown(tmp_path):
    write_volume(label_map(), tmp_path / "predicted.nrrd")
    write_volume(label_map(labels=[1, 3]), tmp_path / "truth.nrrd")
    table = evaluate(tmp_path / "predicted.nrrd", tmp_path / "truth.nrrd").set_index("organ")
    assert list(table.index[table["status"] == "scored"]) == ["BrainStem", "Mandible"]
    assert set(table["status"]) == {"scored", "not drawn"}


def test_the_same_grid_with_axes_in_another_order_is_the_same(tmp_path):
    volume = label_map()
    turned = Volume(
        np.ascontiguousarray(volume.array.transpose(2, 0, 1)[:, ::-1]),
        (1.0, 3.0, 1.0),
        (15.0, 0.0, 0.0),
        np.array([[0.0, -1, 0], [0, 0, 1], [1, 0, 0]]),
    )
    write_volume(volume, tmp_path / "truth.nrrd")
    write_volume(turned, tmp_path / "predicted.nrrd")
    table = evaluate(tmp_path / "predicted.nrrd", tmp_path / "truth.nrrd")
    assert (table["dsc"] == 1).all()


def test_bad_input_is_one_line_that_names_the_file(tmp_path):
    truth, other = tmp_path / "truth.nrrd", tmp_path / "other.nrrd"
    write_volume(label_map(), truth)
    write_volume(Volume(label_map().array, (2.5, 1.0, 1.0)), other)
    write_volume(label_map().with_array(label_map().array * 20), tmp_path / "ct" / "truth.nrrd")
    write_case(tmp_path / "cases" / "one", label_map())
    (tmp_path / "empty").mkdir()
    for prediction, reference, message in (
        (other, truth, r"other\.nrrd lies on another grid than .*truth\.nrrd: resample"),
        (tmp_path / "ct" / "truth.nrrd", truth, r"ct/truth\.nrrd is no label map .* 20\)"),
        (tmp_path / "gone.nrrd", truth, r"gone\.nrrd does not exist"),
        (tmp_path / "empty", truth, "empty holds no label map"),
        (truth, tmp_path / "cases", r"no case of .*truth\.nrrd \(truth\) is in .*cases \(one\)"),
    ):
        with pytest.raises(OrganNetError, match=message) as caught:
            evaluate(prediction, reference)
        assert "\n" not in str(caught.value)


def test_a_table_replaces_nothing_but_a_table(table, tmp_path):
    for name, content in (("report.html", "mine"), ("notes.csv", "mine")):
        (tmp_path / name).write_text(content)
        with pytest.raises(OrganNetError, match=r"is no (name for a table|table of scores)"):
            refuse_to_replace(tmp_path / name)
    write_metrics(table, tmp_path / "metrics.csv")
    refuse_to_replace(tmp_path / "metrics.csv")
    refuse_to_replace(tmp_path / "new.csv")


def test_the_mask_of_one_organ_is_no_label_map(tmp_path):
    write_case(tmp_path / "one", label_map())
    mask = tmp_path / "one" / "structures" / "Mandible.nrrd"
    with pytest.raises(OrganNetError, match="mask of one organ: give the folder of its case"):
        evaluate(mask, mask)


def test_a_link_has_its_own_name(tmp_path):
    """As git-annex and DVC keep files: called by what they hold."""
    write_volume(label_map(), tmp_path / "store" / "MD5E-s12--abc.nrrd")
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "one.nrrd").symlink_to(tmp_path / "store" / "MD5E-s12--abc.nrrd")
    write_case(tmp_path / "cases" / "one", label_map())
    assert set(evaluate(tmp_path / "maps", tmp_path / "cases")["case"]) == {"one"}


def test_a_closed_folder_is_one_line(tmp_path, monkeypatch):
    def closed(_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "maps").mkdir()
    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(OrganNetError, match=r"maps cannot be read \(Permission denied\)"):
        evaluate(tmp_path / "maps", tmp_path / "maps")


def test_one_case_in_two_files_is_refused(tmp_path):
    for suffix in (".nrrd", ".nii.gz"):
        write_volume(label_map(), tmp_path / "maps" / f"one{suffix}")
    with pytest.raises(OrganNetError, match="one case twice"):
        evaluate(tmp_path / "maps", tmp_path / "maps" / "one.nrrd")


def test_a_real_case_against_itself(shared_data):
    folder = shared_data / "pddca" / "0522c0125"  # the shortest
    table = evaluate(folder, folder).set_index("organ")
    drawn = {path.stem for path in (folder / "structures").glob("*.nrrd")}
    assert set(table.index[table["status"] == "scored"]) == drawn & set(ORGAN_NAMES)
    scored = table[table["status"] == "scored"]
    assert (scored["dsc"] == 1).all() and (scored["hd95_mm"] == 0).all()
    assert set(table["case"]) == {"0522c0125"}
