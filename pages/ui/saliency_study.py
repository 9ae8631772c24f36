"""Where models look on a whole test set: mean maps, facial regions beside FACS, disagreement. Stored results only."""

import numpy as np
import pandas as pd
import streamlit as st

from fer_core.artifacts import ENSEMBLE
from fer_core.charts import saliency as charts
from fer_core.charts.explain import COLORMAPS, colour_scale, contact_sheet
from fer_core.charts.results import run_colours
from fer_core.explain import saliency_numbers, saliency_sentences
from fer_core.explain.action_units import EMFACS, GUIDE, MANUAL, PROTOTYPES, SCORES, words
from fer_core.explain.faithfulness import grid_words
from fer_core.explain.saliency import METHODS, LayerChoice
from fer_core.explain.saliency_numbers import ALL_CLASSES, EVERY, RIGHT
from fer_core.explain.saliency_study import KIND
from fer_core.pictures import answers_alike, has_gradients
from fer_core.results import positions
from fer_core.wording import percent
from pages.ui import cache, cache_study, pick, saliency_checks, saliency_options, state, widgets
from pages.ui.saliency_one import EXPLAINED, OWN, TRUE, layer_key, layer_words

VIEWS = ("Mean maps", "Facial regions", "Agreement with FACS", "Disagreement")
AGREED = {RIGHT: "Both right", EVERY: "Same label, right or wrong"}
MEASURES = {"share": "Share of the map", "lift": "Times an even map"}
MAP_WIDTH = 104  # seven fit beside the sidebar
PAGE_SIZE = 8
METHOD_TITLES = {name: method.title for name, method in METHODS.items()}
MANY_EMPTY = 0.05  # share of a class's maps
WHO, WHO_ALONE = ("all {} models", "recognise", "have"), ("this model", "recognises", "has")
CLOSER = "Both maps over this face, in full, each with its checks."
FINE_GRID = 12  # the flattest parts are a twelfth of the frame high


def show() -> None:
    """The whole view."""
    records, problems = cache_study.records()
    for problem in problems:
        st.warning(widgets.plain(problem), icon=":material/warning:")
    if not records:
        widgets.empty_state("No saliency study of these models is stored. This command makes it (minutes per model):",
                            KIND.command)  # fmt: skip
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        records = _narrow(records, "Dataset", "study-dataset", "dataset")
        of_split = _narrow(records, "Split", "study-split", "split", "test")
        records = _narrow(of_split, "Method", "study-method", "method", "grad_cam", METHOD_TITLES)
    names = {record["run"]: record["name"] for record in records}
    view = state.choice("View", VIEWS, key="study-show", widget=st.segmented_control)
    if view == "Disagreement":
        _show_disagreement(records, names)
    else:
        _show_chosen(view, records, names, of_split)
    _show_not_studied(records)


def _show_chosen(view: str, records: list[dict], names: dict[str, str], of_split: list[dict]) -> None:
    """Every view but the one of two models; ``of_split`` are the studies by any method."""
    runs = state.choices("Models", list(names), key="studied", default=state.first_studied(records))
    which = state.choice("Pictures", (EVERY, RIGHT), key="study-which", widget=st.segmented_control)
    if not runs:
        st.info("Choose a model.")
        return
    chosen = {run: names[run] for run in runs}
    if view == "Agreement with FACS":
        label = state.choice("Expression", [ALL_CLASSES, *PROTOTYPES], key="study-class", widget=st.pills)
        _show_agreement(chosen, which, label)
        _show_methods([record for record in of_split if record["run"] in runs], which, label)
    else:
        {"Mean maps": _show_maps, "Facial regions": _show_regions}[view](chosen, which)
    _show_conditions([record for record in records if record["run"] in runs])


def _narrow(
    records: list[dict], label: str, key: str, field: str, default: str | None = None, titles: dict | None = None
) -> list[dict]:
    """The records of one value of ``field``; a picker where there are several."""
    options = list(dict.fromkeys(record[field] for record in records))
    shown = {"format_func": lambda value: (titles or {}).get(value, value), "width": 160}
    chosen = options[0] if len(options) == 1 else state.choice(label, options, key=key, default=default, **shown)
    return [record for record in records if record[field] == chosen]


def _show_not_studied(records: list[dict]) -> None:
    """Which runs have no study of this split by this method."""
    split, method = records[0]["split"], records[0]["method"]
    everybody = not METHODS[method].needs_network
    options = f" --method {method}" + (f" --split {split}" if split != "test" else "")
    for tell in (widgets.not_studied, widgets.weights_not_kept):
        tell(
            KIND.command + options,
            {record["run"] for record in records},
            f"by {METHOD_TITLES[method]}",
            lambda run: not answers_alike(run) and (everybody or has_gradients(run)),
        )


def _show_maps(names: dict[str, str], which: str) -> None:
    colormap = state.choice("Colours", list(COLORMAPS), key="colours", widget=st.segmented_control)
    for run, name in names.items():
        study = cache_study.study(name)
        means = study.means[int(which == RIGHT)]
        tops = means.max(axis=(1, 2))
        shares = cache_study.shares(name, which)
        top = float(pd.Series(tops).max())  # without the NaN of classes that have no picture
        st.markdown(
            f"**{widgets.plain(run)}**, cells: {grid_words(tuple(study.record['grid']))} to tell eyes from mouth. "
            f"**{saliency_sentences.strongest_sentence(shares, study.record['grid'], which)}**"
        )
        pictures = [charts.mean_map(one, top, colormap) for one in means]
        captions = [
            label if np.isfinite(one).all() else f"{label}: no map"
            for label, one in zip(study.class_names, means, strict=True)
        ]
        widgets.picture_grid(pictures, captions, width=MAP_WIDTH)
        with st.container(horizontal=True, gap="small"):
            slug = f"mean-maps-{name}-{which.split()[0]}"
            widgets.download_picture(charts.captioned_row(pictures, captions), slug, "Maps (PNG)")
            widgets.download_table(saliency_numbers.mean_rows(study, which), slug, "Maps (CSV)")
        saliency_checks.show_strip(study.record, which)
    st.image(colour_scale(colormap), width=2 * MAP_WIDTH, caption="none → strongest of the model", alt="Colour scale")
    st.caption(
        "The mean over the pictures of each expression, explained for that expression and laid into one frame by the "
        "face's landmarks; grey lines are the regions of the action units. All maps of a model share one scale."
    )


def _show_regions(names: dict[str, str], which: str) -> None:
    measure = state.choice(
        "Show", list(MEASURES), key="study-measure", widget=st.segmented_control, format_func=MEASURES.get
    )
    for run, name in names.items():
        shares = cache_study.shares(name, which)
        rows, columns = cache_study.study(name).record["grid"]
        first, *others = saliency_sentences.verdict(
            shares, cache_study.scores(name, which), cache_study.lifts(name, which), (rows, columns), which
        )
        st.markdown(f"**{widgets.plain(run)}**: **{first}** {' '.join(others)}")
        if min(rows, columns) < FINE_GRID:
            st.caption(f"{rows} × {columns} cells are larger than the parts: neighbours share what lies between them.")
        widgets.show_figure(
            charts.region_shares(shares, measure), f"regions-{name}-{which.split()[0]}-{measure}", shares
        )
    units = "; ".join(f"{expression} {words(expression)}" for expression in PROTOTYPES)
    st.caption(
        f"Right: the share of an expression's action units that show in each part: {units} ({EMFACS}; {GUIDE}; "
        f"{MANUAL}). Neutral has none. Left: where the model looks, with 95 % bootstrap intervals over the pictures. "
        "The two are alike only as far as people and model use the same parts; a model may be right for other reasons."
    )


def _of(names: dict[str, str]) -> str:
    """What these studies are of, for file names."""
    record = cache_study.study(next(iter(names.values()))).record
    return "-".join(record[field] for field in ("dataset", "split", "method"))


def _show_agreement(names: dict[str, str], which: str, label: str) -> None:
    silent = [run for run, name in names.items() if not saliency_numbers.speaks(cache_study.study(name))]
    if silent:
        st.caption(f"{widgets.plain(', '.join(silent))}: no map speaks for anything; left out.")
        names = {run: name for run, name in names.items() if run not in silent}
        if not names:
            return
    scores = cache_study.scores_together(names.values(), which, label)
    frames = {run: scores[name] for run, name in names.items()}
    n = min(int(rows["n"].min()) if len(rows) else 0 for rows in frames.values())
    who, recognise, have = WHO if len(names) > 1 else WHO_ALONE
    who = f"{who.format(len(names))} {recognise + ' and ' if which == RIGHT else ''}{have}"
    if not n:
        st.info(f"There is no picture of this expression that {who} a map with evidence of.")
        return
    st.markdown(f"**{widgets.plain(saliency_sentences.agreement_sentence(frames))}**")
    colours = run_colours([run.name for run in cache.runs()], frames)
    table = pd.concat([rows.assign(run=run) for run, rows in frames.items()], ignore_index=True)
    widgets.show_figure(charts.agreement(frames, colours), f"facs-{_of(names)}-{label}-{which.split()[0]}", table)
    alone = ", ".join(
        f"{widgets.plain(run)} {len(saliency_numbers.scored(cache_study.study(name), which, label)):,}"
        for run, name in names.items()
    )
    st.caption(
        f"On the {n:,} pictures that {who} a map with evidence of"
        + (f" (alone: {alone})" if len(names) > 1 else "")
        + ". Crosses: what a map reaches that is the same everywhere. "
        + "; ".join(f"{charts.SCORE_TITLES[score]}: {about[0].lower()}{about[1:]}" for score, about in SCORES.items())
        + ". 95 % bootstrap intervals over the pictures."
    )


def _show_methods(records: list[dict], which: str, label: str) -> None:
    """One score of the studies of the chosen models by several methods, on demand: all of them have to be read."""
    studied = {record["method"] for record in records}
    if len(studied) < 2:
        return
    about = "These models by every method that they are studied by."
    if not state.toggle("Compare all methods", key="study-methods", help=about):
        return
    titles = [METHOD_TITLES[method] for method in METHODS if method in studied]
    methods = state.choices("Methods", titles, key="study-by", default=titles)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        score = state.choice(
            "Score", list(SCORES), key="study-score", widget=st.segmented_control, format_func=charts.SCORE_TITLES.get
        )
        same = state.toggle(
            "Same pictures only",
            key="study-same",
            default=True,
            help="Slow methods are studied on fewer pictures. Numbers of different pictures cannot be compared.",
        )
    names = {
        record["name"]: (record["run"], METHOD_TITLES[record["method"]])
        for record in records
        if METHOD_TITLES[record["method"]] in methods
    }
    if not names:
        st.info("Choose a method.")
        return
    if same:
        scores = cache_study.scores_together(names, which, label)
    else:
        scores = {name: cache_study.scores(name, which, label) for name in names}
    table = saliency_numbers.method_rows({key: scores[name] for name, key in names.items()}, score)
    limits = _limit_words(names, which, label) if same and len(names) > 1 else ""
    if table.empty:
        none = "There is no picture of this expression that all these studies have a map with evidence of."
        st.info(f"{none} {limits}" if same else "These studies have no map with evidence of this expression.")
        return
    grid = saliency_sentences.method_grid(table).reset_index()
    wide = {name: st.column_config.Column(width="medium") for name in grid.columns.drop("run")}  # or cells are cut off
    widgets.show_table(grid, column_config=wide | {"run": st.column_config.Column("Model", pinned=True)})
    low, high = table["even"].min(), table["even"].max()
    even = f"{percent(low)}" if f"{percent(low)}" == f"{percent(high)}" else f"{percent(low)} to {percent(high)}"
    st.caption(
        f"{charts.SCORE_TITLES[score]} with its 95 % bootstrap interval over n pictures"
        + (", the same in all cells" if same else ", each study's own")
        + f"; an even map reaches {even}. Empty cells are not studied, or have no map with evidence in it. {limits}"
    )
    slug = "-".join(records[0][field] for field in ("dataset", "split"))
    widgets.download_table(table, f"facs-{slug}-all-methods-{score}-{label}-{which.split()[0]}")
    saliency_checks.show_methods(records, which)


def _limit_words(names: dict[str, tuple[str, str]], which: str, label: str) -> str:
    """How many pictures studies share, and which of them costs most; ``names`` are study -> run and method."""
    rows = cache_study.shared(names, which, label)
    if len(rows) < 2:
        return ""
    first = rows.iloc[0]
    run, method = names[first["study"]]
    left = f"All {len(rows)} studies share {first['shared']:,} picture{'' if first['shared'] == 1 else 's'}"
    costliest = f"{widgets.plain(run)} by {method} ({first['own']:,} of its own)"
    if first["without"] > first["shared"]:
        return f"{left}: {costliest} leaves out most, the others share {first['without']:,}."
    return f"{left}: none leaves out any alone, the fewest has {costliest}."


def _show_disagreement(records: list[dict], names: dict[str, str]) -> None:
    if len(names) < 2:
        widgets.empty_state("Two studied models are needed. This command studies more:", KIND.command)
        return
    with st.container(horizontal=True):
        first = state.choice("Model", list(names), key="study-a")
        others = [record for record in records if record["run"] != first]
        second = state.choice(
            "Other model", [one["run"] for one in others], key="study-b", default=_unlike(first, records)
        )
        which = state.choice("Pictures", list(AGREED), key="study-agreed", format_func=AGREED.get)
    found = cache_study.disagreement(names[first], names[second], which)
    alike, *expected = saliency_sentences.disagreement_words(found)
    st.markdown(f"**{alike}** {' '.join(expected)}")
    label = state.choice(
        "Expression", [ALL_CLASSES, *dict.fromkeys(found.pictures["class"])], key="study-class", widget=st.pills
    )
    table = found.pictures if label == ALL_CLASSES else found.pictures[found.pictures["class"] == label]
    number = state.page_number(len(table), PAGE_SIZE, key="study-page", of=(first, second, label, which))
    drawn = _show_pairs(table.iloc[widgets.page_window(number, PAGE_SIZE)], names[first], names[second])
    slug = f"disagreement-{_of(names)}-{first}-{second}-{label}-{which.split()[0]}"
    with st.container(horizontal=True, gap="small"):
        widgets.download_picture(drawn, f"{slug}-{number}", "These pictures (PNG)")
        widgets.download_table(table.drop(columns=["a", "b"]), slug, "All of these (CSV)")
    st.caption(
        "Same label, other place: the least alike first. Left the picture, then where either model looks, in the frame "
        "that all faces are laid into. Alike: cosine of the two maps at 8 × 8 cells. Maps are of the true expression, "
        "of pictures that both take for another one as well. " + _prob_words([first, second])
    )


def _prob_words(runs: list[str]) -> str:
    """Whose probabilities beside the maps are not those that the page shows of one face."""
    averaged = [run for run in runs if (cache.run(run).run.get("config") or {}).get("tta", "none") != "none"]
    told = "Beside the maps stands the probability of the expression for the picture as it is"
    if not averaged:
        return f"{told}."
    return f"{told}; Look closer averages shifted and mirrored views for {widgets.plain(' and '.join(averaged))}."


def _unlike(run: str, records: list[dict]) -> str | None:
    """The first run of another network than ``run``'s; not an ensemble, which may be made of it."""
    models = {record["run"]: record["model"] for record in records}
    return next((one for one, model in models.items() if model not in (models[run], ENSEMBLE)), None)


def _show_pairs(rows: pd.DataFrame, name_a: str, name_b: str) -> np.ndarray:
    """A box per picture; gives all of them as one picture, a row each."""
    studies = cache_study.study(name_a), cache_study.study(name_b)
    record = studies[0].record
    where, reason = _places(record, rows["sample_id"].to_numpy())
    if reason:
        st.caption(reason)
    lines = []
    beside = st.container(horizontal=True, gap="small")
    for place, row in enumerate(rows.itertuples(index=False)):
        maps = [study.coarse[at] for study, at in zip(studies, (row.a, row.b), strict=True)]
        drawn = [charts.mean_map(one.astype(float), 255.0) for one in maps]
        probs = (row.prob_a, row.prob_b)
        captions = [f"{one.record['model']}, {percent(prob)}" for one, prob in zip(studies, probs, strict=True)]
        own = [] if where is None else [cache.dataset(record["dataset"])[record["split"]].images[where[place]]]
        lines.append([*own, *drawn])
        with beside.container(border=True, width=len(lines[-1]) * (MAP_WIDTH + 16) + 32):
            taken = "" if row.predicted == row[1] else f", taken for {row.predicted}"
            st.markdown(f"{widgets.plain(row.sample_id)}, {row[1]}{taken}: {percent(row.similarity)} alike")
            widgets.picture_grid([*own, *drawn], [*(["the picture"] * len(own)), *captions], width=MAP_WIDTH)
            if where is not None:
                asked = (int(where[place]), [study.record for study in studies])
                st.button("Look closer", key=f"closer-{row.sample_id}", help=CLOSER, on_click=_look_closer, args=asked)
    return contact_sheet([picture for line in lines for picture in line], len(lines[0]))


def _look_closer(place: int, records: list[dict]) -> None:
    """Open one face with both models, explained as in their studies; for a button, whose callback runs before the
    widgets are drawn.
    """
    record, method = records[0], records[0]["method"]
    chosen = {"scope": pick.ONE_FACE, "from": "dataset", "class": pick.EVERY_CLASS, "picture": place + 1}
    chosen |= {"models": [one["run"] for one in records], "explain": TRUE}
    chosen |= {name: record[name] for name in ("dataset", "split", "method")}
    titles = {"from": pick.SOURCES["dataset"], "method": METHOD_TITLES[method], "explain": EXPLAINED[TRUE]}
    options = METHODS[method].options | record["options"]
    chosen |= saliency_options.by_key(method, options)
    titles |= saliency_options.words(method, options)
    for number, one in enumerate(records if METHODS[method].takes_layer else [], start=1):
        words_of_layer = layer_words(LayerChoice(one["layer"], tuple(one["grid"]))) if one["layer"] else ""
        chosen[layer_key(number)], titles[layer_key(number)] = one["layer"] or OWN, words_of_layer
    state.choose(chosen, titles)


def _places(record: dict, sample_ids) -> tuple[np.ndarray | None, str]:
    """Where the pictures stand in the split where the dataset is registered, else None and why."""
    if record["dataset"] not in cache.dataset_names():
        return None, (
            f"{record['dataset']} is not registered here: maps only. To see the pictures: "
            "`python -m fer_core data add PATH`."
        )
    where = positions(cache.dataset(record["dataset"])[record["split"]].sample_ids, sample_ids)
    if where is None:
        return None, "The registered dataset holds other pictures than this study is of: maps only."
    return where, ""


def _show_conditions(records: list[dict]) -> None:
    parts = [
        f"{record['run']}: {record['n']:,} of {record['n_split']:,} pictures"
        + (f", layer {record['layer']}" if record["layer"] else "")
        + "".join(f", {name} {value}" for name, value in record.get("options", {}).items())
        + f", landmarks found in {record['n_found']:,}"
        for record in records
    ]
    st.caption(widgets.plain("; ".join(parts)) + ". Where none were found, the usual place of a face is taken.")
    for record in records:
        empty = saliency_numbers.empty_maps(cache_study.study(record["name"]))
        many = {name: share for name, share in empty.items() if share >= MANY_EMPTY}
        if many:
            told = ", ".join(f"{name} {percent(share)}" for name, share in many.items())
            why = "Everything in that layer speaks against the class; another method or layer may tell more."
            why = why if record["layer"] else "No hidden place lowers the probability of the class."
            st.warning(
                f"{widgets.plain(record['run'])}: maps without any evidence, left out here: {told}. {why}",
                icon=":material/warning:",
            )
