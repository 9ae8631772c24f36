"""Train a system and watch it: a process of its own that outlives this page; and what sweeps over settings found."""

import json

import pandas as pd
import streamlit as st

from fer_core import job_log, jobs
from fer_core.charts import results as result_charts
from fer_core.errors import ConfigError, FerError
from fer_core.labels import KNOWN_NAMES
from fer_core.masks import REGIONS
from fer_core.models.arguments import check_arguments, check_estimator
from fer_core.models.preprocess import EQUALIZERS
from fer_core.models.specs import MODELS, spec
from fer_core.models.views import VIEWS as VIEWS_AVERAGED
from fer_core.reporting import doing_text, duration_text, left_text
from fer_core.training import config as configs
from fer_core.training import unfinished
from fer_core.training.config import config_of_entry
from pages.ui import cache, searches_view, state, sweeps_view, widgets

OWN = "FERscope"
LOOK_EVERY_S = 1.0
SEEN = "job-seen"
COLOURS = {"running": "blue", "finished": "green", "failed": "red"}
CHOICES = {
    "optimizer": configs.OPTIMIZERS,
    "schedule": configs.SCHEDULES,
    "initial_weights": configs.INITIAL_WEIGHTS,
    "precision": configs.PRECISIONS,
    "monitor": configs.MONITORS,
    "select": configs.SELECTIONS,
    "tta": tuple(VIEWS_AVERAGED),
    "equalize": EQUALIZERS,
    "mask": ("", *REGIONS),
}
PICTURES = ("oversample", "dedupe", "faces", "mask", "classes")
MORE = (
    *("optimizer", "schedule", "warmup_epochs", "weight_decay", "label_smoothing", "mixup", "ema"),
    *("patience", "min_delta", "monitor", "select", "holdout", "class_weight"),
    *("initial_weights", "trainable_layers", "input_size"),
    *("precision", "tta", "equalize", *PICTURES, "arguments"),
)
MEANING = {
    "arguments": "Changes of what the model is built with, as JSON",
    "classes": "Only pictures of these; all if none is chosen",
    "dedupe": "Leave out training pictures that repeat another one, or one of val or test",
    "equalize": "Equalisation of every picture, in prediction too",
    "faces": "Find, align and cut the face of each picture first",
    "holdout": "Share of the training pictures that decides in place of val",
    "mask": "Region that is black in every picture",
    "monitor": "What patience and the epoch that is kept go by",
    "oversample": "Repeat pictures of the rarer classes",
    "tta": "Views of a picture that the stored answers are averaged over",
    "shift": "Largest shift along each axis, as a share of the side",
    "min_delta": "Smallest change that patience takes for an improvement",
    "patience": "Stop when val has not improved for so many epochs; 0 for never",
    "trainable_layers": "Layers of the backbone, from its end; 0 trains the head alone, -1 everything",
    "input_size": "Side in pixels; 0 for the system's own",
    "initial_weights": "imagenet: Keras downloads them, or FER_PRETRAINED_DIR names a folder that holds them",
}
TABLE = {
    "job": None,
    "run": None,
    "model": st.column_config.Column("System", pinned=True),
    "dataset": st.column_config.Column("Dataset"),
    "state": st.column_config.Column("State"),
    "epoch": st.column_config.NumberColumn("Epoch"),
    "epochs": st.column_config.NumberColumn("of"),
    "val_accuracy": st.column_config.NumberColumn("Val accuracy", format="percent", help="After the last epoch"),
    "minutes": st.column_config.NumberColumn("Minutes", format="%.1f"),
    "created": st.column_config.DatetimeColumn("Started", format="D MMM, HH:mm"),
}


def show_job(job_id: str) -> None:
    """One training as it is now. Runs again every second while it is live."""
    with widgets.page_errors():
        job = jobs.read(job_id)
        now = job.state
        history = jobs.history(job)
        with st.container():  # always there, so that what follows keeps its place when the curve appears
            if history is not None and len(history):
                curve = {"this training": history}
                figure = result_charts.learning_curves(curve, result_charts.run_colours(curve))
                widgets.show_figure(figure, f"training-{job.id}", history)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{job.model}** on **{job.dataset}**, seed {job.seed}", width="content")
            st.badge(now, color=COLOURS.get(now, "gray"))
            show_buttons(job, now)
        with st.container():
            show_progress(job, now, history)
        log = job_log.tail(job.path)
        if log:
            with st.expander("Log", expanded=history is None):
                st.code(log, language=None, height=260)
        seen, known = st.session_state.get(SEEN), (job.id, now, jobs.progress(job).get("epoch"))
        st.session_state[SEEN] = known
        if seen and seen[0] == job.id and seen != known:
            st.rerun()  # the list of trainings and the form depend on it


def show_progress(job: jobs.Job, now: str, history: pd.DataFrame | None) -> None:
    """The bar with the time left, or how it ended."""
    shown = jobs.progress(job)
    if now == "failed":
        st.error(widgets.plain(job_log.failure(job.path)), icon=":material/error:")
    elif now == "waiting":
        st.info("Waits for another training to end.", icon=":material/hourglass_empty:")
    elif now == "starting" or (now == "running" and "share" not in shown):
        text = "Fitting: no epochs, so no curve" if spec(job.model)["family"] != "network" else "Starting"
        st.progress(0.0, f"{text}, {duration_text(job.elapsed_s)} so far")
    elif "share" in shown:
        left = left_text(shown) if now == "running" else ""
        if now == "running" and not left and "stages" in shown:
            left = f"{duration_text(job.elapsed_s)} so far"
        st.progress(shown["share"], ", ".join(filter(None, (what_is_done(shown), left))))
    if now in ("stopped", "failed") and history is not None and len(history):
        kept = f"{len(history)} finished epochs are" if len(history) > 1 else "1 finished epoch is"
        st.caption(f"{kept} kept; resumed, it goes on with epoch {len(history) + 1}.")
    if now == "finished":
        st.success(f"Stored as {job.run} after {duration_text(job.elapsed_s)}.", icon=":material/check:")


def what_is_done(shown: dict) -> str:
    """Epoch or stage, and how many pictures of how many have been through it."""
    if not shown.get("what"):
        return f"Epoch {shown['epoch']} of {shown['epochs']}"
    text = doing_text(shown["what"], shown.get("stage", 0), shown.get("stages", 0)).capitalize()
    counted = f": {shown['steps_done']:,} of {shown['steps_total']:,}" if shown["steps_total"] else ""
    return f"{text}{counted}"


def show_buttons(job: jobs.Job, now: str) -> None:
    """Stop, resume, or on to the results."""
    if now in jobs.LIVE and st.button("Stop training", key=f"stop-{job.id}", icon=":material/stop:"):
        with st.spinner("Stopping ..."):
            jobs.stop(job)
        st.rerun()
    if now in ("stopped", "failed") and st.button(
        "Resume training", key=f"resume-{job.id}", icon=":material/play_arrow:"
    ):
        jobs.resume(job)
        st.rerun()
    if now == "finished":
        st.page_link(
            "pages/models.py",
            label="Open on Models",
            icon=":material/leaderboard:",
            query_params={"runs": job.run, "dataset": job.dataset},
        )


def choose_system() -> str:
    """A model, by the paper that it reproduces."""
    papers = cache.papers()
    names = {entry.get("paper") or OWN for entry in MODELS.values()}
    order = [OWN, *(name for name in papers if name in names), *sorted(names - {OWN, *papers})]
    short = {name: papers[name].short if name in papers else name for name in order}
    paper = state.choice("From", order, key="paper", widget=st.segmented_control, format_func=short.get)
    systems = [name for name, entry in MODELS.items() if (entry.get("paper") or OWN) == paper]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        model = state.choice("System", systems, key="system", width=300)
        st.markdown(MODELS[model]["title"])
    return model


def arguments(model: str, key: str) -> dict:
    """What the network's or the SVM's own arguments are changed to.

    Raises:
        ConfigError: what was typed is no JSON object, or an SVM cannot be fitted with it.
        ModelError: a network cannot be built with it.
    """
    entry = spec(model)
    own = json.dumps(entry["arguments"])
    typed = state.text("Arguments", key=key, placeholder=own, help=f"{MEANING['arguments']}. Its own: `{own}`")
    try:
        changed = json.loads(typed or "{}")
    except json.JSONDecodeError:
        changed = None
    if not isinstance(changed, dict):
        raise ConfigError(f"Arguments must be a JSON object. Received {typed}.", f"As in {own}, only what changes.")
    chosen = entry["arguments"] | changed
    if entry["family"] == "network":
        check_arguments(model, entry["builder"], chosen)
    else:
        check_estimator(entry["builder"], chosen)
    return changed


def field(name: str, value, key: str):
    """A widget for one setting, as its default is; what it is changed to stands in the address."""
    label, about = name.replace("_", " ").capitalize(), MEANING.get(name)
    if name in CHOICES:
        return state.choice(
            label, CHOICES[name], key=key, default=value, help=about, format_func=lambda word: word or "none"
        )
    if name == "classes":
        return state.choices(label, KNOWN_NAMES, key=key, default=value, help=about, placeholder="all")
    if isinstance(value, bool):
        return state.toggle(label, key=key, default=value, help=about)
    if isinstance(value, int):
        return state.any_number(label, value, key=key, step=1, help=about)
    return state.any_number(label, float(value), key=key, step=None, format="%g", help=about)


def choose_settings(model: str) -> dict:
    """All settings of the recipe, some of them changed."""
    recipe = config_of_entry(spec(model)).to_dict()
    network = spec(model)["family"] == "network"
    few = ("epochs", "batch_size", "learning_rate", "seed") if network else ("seed",)
    values = {}
    with st.container(horizontal=True):
        for name in few:
            with st.container(width=150):
                values[name] = field(name, recipe[name], f"{model}-{name}")
    with st.expander("More settings"):
        columns = st.columns(3)
        for place, name in enumerate(MORE if network else (*PICTURES, "arguments")):
            with columns[place % 3]:
                key = f"{model}-{name}"
                values[name] = arguments(model, key) if name == "arguments" else field(name, recipe[name], key)
        if not network:
            return values
        st.caption("Random changes of the training pictures")
        columns, changed = st.columns(3), {}
        for place, (name, value) in enumerate(recipe["augmentation"].items()):
            with columns[place % 3]:
                changed[name] = field(name, float(value), f"{model}-augmentation-{name}")
        values["augmentation"] = changed
    return values


def choose_fresh(model: str, dataset: str, seed: int, settings: dict) -> tuple[bool, str]:
    """Whether to discard the unfinished training that lies there, and in what it differs from what is chosen."""
    done = unfinished.epochs_done(model, dataset, seed)
    differs = unfinished.other_settings(model, dataset, settings)
    if not done and not differs:
        return False, ""
    name = f"An unfinished training of {model} with seed {seed} has {done} epoch{'s' * (done != 1)} behind it"
    if differs:
        st.warning(f"{name}, with other settings: {differs}. Choose those to go on with it, or discard it.")
    else:
        st.info(f"{name} and will go on.")
    return st.toggle("Discard it and begin anew", key=f"fresh-{model}-{dataset}-{seed}"), differs


def show_form(busy: list[str]) -> None:
    """Choose, see the command, start; ``busy`` names the trainings that run or wait."""
    model = choose_system()
    names = cache.dataset_names()
    dataset = state.choice("Dataset", names, key="dataset", width=220)
    with widgets.page_errors():
        values = choose_settings(model)
        settings = jobs.settings_changed(model, values)
        fresh, differs = choose_fresh(model, dataset, values["seed"], settings)
        if config_of_entry(spec(model), settings).initial_weights == "imagenet":
            st.caption("Begins with ImageNet weights: Keras downloads them, or FER_PRETRAINED_DIR names their folder.")
        with st.container(horizontal=True):
            blocked = bool(differs) and not fresh
            now = st.button("Start", type="primary", icon=":material/play_arrow:", disabled=blocked)
            about = "Starts when the others have ended"
            later = busy and st.button("Queue", icon=":material/queue:", help=about, disabled=blocked)
        asked = (model, dataset, settings, fresh, busy)
        if now or later:
            try:
                job = jobs.start(model, dataset, settings, fresh=fresh, queue=bool(later))
            except FerError as error:  # told until something changes: the training that is watched draws the page anew
                st.session_state["refused"] = asked, error
            else:
                state.set_query("job", job.id)
                st.rerun()
        if (refused := st.session_state.get("refused")) and refused[0] == asked:
            raise refused[1].with_traceback(None)  # or it would grow by each time it is told
        command = jobs.train_arguments(model, dataset, settings)
        st.code(jobs.command_text([*command, "--fresh"] if fresh else command), language="bash")


def show_list(found: list[jobs.Job], chosen: str) -> None:
    """Every training, the newest first; a click opens one."""
    names = [job.id for job in found]
    frame = jobs.jobs_frame(found)
    event = widgets.show_table(
        frame,
        column_config=TABLE,
        key=f"jobs-{chosen}-{len(names)}",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [names.index(chosen)]}},
        alt="Trainings; select a row to see it",
    )
    picked = [names[row] for row in event.selection.rows if row < len(names)]
    if picked and picked[0] != chosen:
        state.set_query("job", picked[0])
        st.rerun()
    widgets.download_table(frame, "trainings")


def show_trainings() -> None:
    found, problems = jobs.list_jobs()
    live = [job for job in found if job.state in jobs.LIVE]
    elsewhere = jobs.trainings_elsewhere()
    if found:
        default = (live or found)[0].id
        chosen = state.query_choice("job", [job.id for job in found], default)
        shown = next(job for job in found if job.id == chosen)
        every = LOOK_EVERY_S if shown.state in jobs.LIVE else None
        st.session_state.pop(SEEN, None)  # or a full run might start over, and lose the press of a button
        st.fragment(show_job, run_every=every)(chosen)
    if elsewhere:
        st.caption(f"Started from a terminal and running: {', '.join(elsewhere)}.")
    with st.expander("New training", expanded=not live):
        show_form([job.id for job in live] + elsewhere)
    if found:
        st.subheader("Trainings")
        show_list(found, chosen)
    for problem in problems:
        st.warning(widgets.plain(problem), icon=":material/warning:")


VIEWS = {"Trainings": show_trainings, "Sweeps": sweeps_view.show, "Searches": searches_view.show}


def body() -> None:
    st.title("Training")
    st.caption("Train a system and watch it: it goes on when this page is closed, and can be stopped and resumed.")
    view = state.choice("Show", list(VIEWS), key="view", widget=st.segmented_control, label_visibility="collapsed")
    VIEWS[view]()


body()
