"""The scores kept in results/, and that README and model cards say what they say."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY

from organnet.ablation import as_markdown as ablation_markdown
from organnet.batch.run import segment
from organnet.errors import OrganNetError
from organnet.evaluation import evaluate, read_metrics, summarise, write_metrics
from organnet.files import read_json, sha256
from organnet.layout import SHIPPED
from organnet.organs import ORGAN_NAMES
from organnet.results import as_markdown, results_folder, results_table, stored_ablation
from organnet.settings import VARIANTS, differences, make_settings
from organnet.weights import load_network, read_weights

RESULTS = REPOSITORY / "results"
WEIGHTS = sorted(SHIPPED.glob("*.safetensors"))


def readme() -> str:
    return (REPOSITORY / "README.md").read_text(encoding="utf-8")


def about_the_results() -> str:
    return " ".join((RESULTS / "README.md").read_text(encoding="utf-8").split())


def card(weights) -> str:
    return weights.with_suffix(".md").read_text(encoding="utf-8")


def scores_of(dsc_by_case: dict[str, float], organ: str = "Mandible") -> pd.DataFrame:
    rows = [
        {
            **{"case": case, "organ": name, "dsc": None, "hd95_mm": None, "surface_dice": None},
            **{"reference_voxels": 0, "predicted_voxels": 3, "status": "not drawn"},
        }
        | (
            {"dsc": dsc, "hd95_mm": 10 * dsc, "surface_dice": 1.0, "status": "scored"}
            if name == organ
            else {}
        )
        for case, dsc in dsc_by_case.items()
        for name in ORGAN_NAMES
    ]
    return pd.DataFrame(rows).astype({"dsc": float, "hd95_mm": float, "surface_dice": float})


def test_the_readme_holds_the_table_of_the_stored_scores():
    assert as_markdown(results_table(RESULTS)) in readme()


def test_our_rows_are_means_over_the_stored_cases(tmp_path):
    for fold, scores in enumerate([{"a": 0.5, "b": 0.7}, {"c": 0.9}]):
        write_metrics(scores_of(scores), tmp_path / "matched" / f"fold{fold}" / "metrics.csv")
    rows = results_table(tmp_path)
    assert set(rows["data"].iloc[:-1]) == {"PDDCA, off-site test"}
    folds = rows.iloc[-1]
    assert folds["cases"] == 3
    assert folds["Mandible"] == pytest.approx(70.0)
    assert folds["mean"] == pytest.approx(70.0)
    assert folds["hd95_mm"] == pytest.approx(7.0)
    assert pd.isna(folds["BrainStem"])
    assert as_markdown(rows).splitlines()[-1].count("| - |") >= 1


def test_a_table_that_is_no_scores_is_refused(tmp_path):
    (tmp_path / "phantom").mkdir()
    (tmp_path / "phantom" / "metrics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(OrganNetError, match="no table of scores"):
        results_table(tmp_path)


def test_results_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert results_folder() == RESULTS


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
def test_a_card_is_of_the_weights_beside_it(weights):
    assert sha256(weights) in card(weights)
    network = load_network(weights)
    assert f"width {network.settings.model.width}" in card(weights)


@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda path: path.stem)
def test_a_card_holds_the_stored_scores(weights):
    summary = summarise(read_metrics(RESULTS / weights.stem / "metrics.csv"))
    for name, organ in summary["organs"].items():
        row = f"| {name} | {organ['n']} | "
        if organ["n"]:
            row += f"{100 * organ['dsc']['mean']:.1f} | {organ['hd95_mm']['mean']:.1f} | "
            row += f"{100 * organ['dsc']['sd']:.1f} | {100 * organ['dsc']['median']:.1f} | "
            row += f"{organ['hd95_mm']['median']:.1f} |"
        assert (row in card(weights)) == bool(organ["n"]), row
    mean = summary["mean"]
    assert f"| mean of organs |  | {100 * mean['dsc']:.1f} | {mean['hd95_mm']:.1f} |" in card(
        weights
    )
    scored = [organ for organ in summary["organs"].values() if organ["n"]]
    surface = [f"{100 * organ['surface_dice']['mean']:.1f}" for organ in scored]
    assert f"{', '.join(surface[:-1])} and {surface[-1]} %." in card(weights)


def test_the_card_holds_the_scores_of_the_four_folds():
    folds = [read_metrics(path) for path in sorted(RESULTS.glob("matched/fold?/metrics.csv"))]
    organs = summarise(pd.concat(folds))["organs"]
    scored = [organ for organ in organs.values() if organ["n"]]
    (left, right, *glands) = [f"{100 * organ['dsc']['mean']:.1f}" for organ in scored]
    text = " ".join(card(SHIPPED / "openkbp").split())
    assert f"(n {', '.join(str(organ['n']) for organ in scored)})" in text
    assert f"optic nerves {left} and {right}, submandibular glands {' and '.join(glands)}" in text


def test_the_shipped_weights_score_a_real_ct_as_stored(shared_data, tmp_path):
    """The whole way from a CT on disk, on voxels the network was not trained on."""
    case = shared_data / "pddca" / "0522c0014"
    segment([case], [Path("openkbp")], tmp_path, deep=False)
    table = evaluate(tmp_path / "0522c0014.nrrd", case).set_index("organ")
    stored = read_metrics(RESULTS / "0522c0014" / "pddca.csv").set_index("organ")
    assert table["dsc"].to_numpy() == pytest.approx(stored["dsc"].to_numpy(), abs=0.01, nan_ok=True)


def test_the_card_names_the_list_that_was_trained_on():
    assert sha256(REPOSITORY / "data" / "lists" / "openkbp.json") in card(SHIPPED / "openkbp")


def test_the_shipped_weights_are_of_the_profile_and_the_cases_that_the_card_names():
    settings = read_weights("openkbp")[1].to_dict()
    today = make_settings("joint", "gpu").to_dict()
    assert differences(settings, today) == ["training.precision bfloat16 for auto"]
    stored = read_json(RESULTS / "openkbp" / "training" / "settings.json")
    assert differences(settings, stored["settings"]) == ["inference.mirror True for none"]
    groups = read_json(REPOSITORY / "data" / "lists" / "openkbp.json")["groups"]
    training = [name for group in groups if group["split"] == "training" for name in group["cases"]]
    assert stored["data"]["cases"]["training"] == training


@pytest.mark.parametrize("folder", ["openkbp", "heldout", "unseen"])
def test_the_stored_scores_are_of_the_shipped_weights(folder):
    scored = read_json(RESULTS / folder / "scored.json")
    assert scored["weights"] == [sha256(SHIPPED / "openkbp.safetensors")]
    assert set(scored["cases"]) == set(read_metrics(RESULTS / folder / "metrics.csv")["case"])


def test_the_text_compares_the_drawings_of_one_scan_over_the_organs_they_share():
    paths = [
        RESULTS / "0522c0014" / f"{who}.csv" for who in ("pddca", "oncologist", "radiographer")
    ]
    dsc = pd.concat([read_metrics(path).set_index("organ")["dsc"] for path in paths], axis=1)
    shared = dsc.dropna()
    assert len(shared) == 7
    pddca, oncologist, radiographer = (f"{100 * mean:.1f}" for mean in shared.mean())
    assert f"they are {pddca}, {oncologist} and {radiographer}" in about_the_results()


def test_the_text_holds_medians_and_what_people_reach_without_copied_drawings():
    organs = summarise(read_metrics(RESULTS / "openkbp" / "metrics.csv"))["organs"].values()
    dsc, hd95 = (
        [organ[metric]["median"] for organ in organs if organ["n"]] for metric in ("dsc", "hd95_mm")
    )
    percent, mm = [f"{100 * value:.1f}" for value in dsc], [f"{value:.1f}" for value in hd95]
    text = about_the_results()
    assert f"medians are {', '.join(percent[:-1])} and {percent[-1]} %" in text
    assert f"and {', '.join(mm[:-1])} and {mm[-1]} mm." in text
    people = read_metrics(RESULTS / "observers" / "metrics.csv")
    copied = set(people["case"][people["dsc"] > 0.998])
    assert copied == {"0522c0014", "0522c0457"}
    mean = summarise(people[~people["case"].isin(copied)])["mean"]
    assert f"mean is {100 * mean['dsc']:.1f} and HD95 {mean['hd95_mm']:.1f} mm" in text


def test_the_text_holds_a_person_and_the_network_against_the_same_drawings():
    person = read_metrics(RESULTS / "observers" / "openkbp.csv")
    person["case"] = person["case"].str.split("__").str[1]
    network = read_metrics(RESULTS / "openkbp" / "metrics.csv")
    both = sorted(set(person["case"]) & set(network["case"]))
    assert both == ["pt_206", "pt_212", "pt_233"]
    counts = person.groupby("organ", sort=False)["dsc"].count()
    stem, jaw, left, right = counts[counts > 0]
    told = f"({stem} brain stems, {jaw} mandibles, {left} of each parotid)"
    assert told in " ".join(readme().split())
    assert left == right
    text = about_the_results()
    for table, text_before in ((person, "the oncologist has"), (network, "drawing,")):
        means = table[table["case"].isin(both)].groupby("organ", sort=False)["dsc"].mean().dropna()
        stem, left, right = (f"{100 * mean:.1f}" for mean in means)
        assert f"{text_before} {stem}, {left} and {right}" in text


def test_the_readme_and_the_notebook_say_what_the_ablation_gave():
    table = stored_ablation()
    assert set(table.index) == set(VARIANTS) and set(table["cases"].dropna()) == {32}
    flat, focal, unet = 100 * table["difference"][["all-3d", "focal-only", "unet"]]
    text = " ".join(readme().split())
    assert f"{-flat:.1f} points of DSC better than 3D throughout" in text
    assert f"together {-focal:.1f} better than focal alone" in text
    assert f"four poolings {unet:.1f} better than the paper's two" in text
    notebook = (REPOSITORY / "notebooks" / "03_evaluation.ipynb").read_text(encoding="utf-8")
    for row in ablation_markdown(table).splitlines():
        assert row in notebook


def test_the_text_holds_the_weights_and_the_folds_against_each_other_where_both_are_scored():
    unseen = read_metrics(RESULTS / "unseen" / "metrics.csv")
    folds = pd.concat(read_metrics(path) for path in RESULTS.glob("matched/fold?/metrics.csv"))
    assert not folds.duplicated(["case", "organ"]).any()
    same = folds[folds["case"].isin(unseen["case"])]
    assert same["case"].nunique() == unseen["case"].nunique() == 3
    means = [f"{100 * table.groupby('organ')['dsc'].mean().mean():.1f}" for table in (same, unseen)]
    text = about_the_results()
    assert f"they have a mean of {means[0]}, the shipped weights {means[1]}." in text


def test_in_no_patient_do_left_and_right_change_places():
    """What the card says of the 32: by the drawings and by the anatomy."""
    sides = pd.read_csv(RESULTS / "openkbp" / "sides.csv")
    assert sides["case"].nunique() == 32
    right = sides["organ"].str.endswith("_R")
    assert (sides["right"].where(~right, sides["left"]) == 0).all()
    agrees = sides["agrees_with_anatomy"]
    assert set(agrees.dropna().astype(str)) == {"True"}
    assert set(sides["case"][agrees.isna()]) == {"pt_221"}  # too little is found there


def test_no_patient_of_results_is_there_twice():
    for path in [*RESULTS.glob("**/metrics.csv"), RESULTS / "observers" / "openkbp.csv"]:
        table = read_metrics(path)
        assert not table.duplicated(["case", "organ"]).any(), path


def test_every_stored_score_has_its_command():
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    for folder in sorted(
        {path.relative_to(RESULTS).parts[0] for path in RESULTS.glob("*/**/*.csv")}
    ):
        assert f"`{folder}" in text, f"results/README.md does not say where {folder} comes from"
