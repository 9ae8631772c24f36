"""Imports go only downwards, TensorFlow stays where it belongs, and no file names a place on somebody's machine."""

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
CORE = PROJECT / "fer_core"

# Level of each module or package of fer_core; a module imports from lower levels, or from its own package.
LEVELS: dict[str, int] = {
    "errors": 0,
    "labels": 1,
    "wording": 1,
    "storage": 1,
    "resumable": 2,
    "images": 1,
    "masks": 1,
    "passes": 1,
    "predictions": 1,
    "datasets": 2,
    "detector": 1,
    "faces": 2,
    "regions": 3,
    "metrics": 2,
    "comparison": 3,
    "artifacts": 3,
    "charts": 4,
    "models": 4,
    "training": 5,
    "inference": 5,
    "explain": 6,
    "results": 4,
    "seed_spread": 4,
    "verification": 5,
    "reported": 6,
    "latency": 2,
    "caches": 3,
    "machine": 1,
    "reporting": 2,
    "job_log": 1,
    "jobs": 6,
    "pictures": 6,
    "commands": 7,
    "__main__": 8,
}
# Modules that need TensorFlow or Keras for what they are; all others load without.
HEAVY: tuple[str, ...] = (
    "fer_core.models.backbones",
    "fer_core.models.builders",
    "fer_core.models.layers",
    "fer_core.models.registry",
    "fer_core.models.weights",
    "fer_core.training.checkpoint",
    "fer_core.training.engine",
    "fer_core.training.frozen",
    "fer_core.training.on_device",
    "fer_core.training.run",
)
HEAVY_LIBRARIES = {"tensorflow", "keras", "tf_keras_vis", "mtcnn", "jax", "torch"}
# The one place that may call TensorFlow, so that the same models train on any Keras backend.
TENSORFLOW_LAYER = CORE / "models" / "layers.py"
CACHES = sorted((PROJECT / "pages" / "ui").glob("cache*.py"))
# Caches of what is stored of each run or study -> which folders of artifacts that is.
OF_EACH = dict.fromkeys(("cache._predictions", "cache._history"), "runs/*")
OF_EACH |= dict.fromkeys((f"cache_study.{name}" for name in ("_study", "_shares", "_lifts", "_scores")), "studies/sal*")
OF_EACH |= dict.fromkeys((f"cache_masks.{name}" for name in ("_part_numbers", "_full_table")), "studies/[mp]*")
OF_EACH |= dict.fromkeys(
    (f"cache_masks._mask_{name}" for name in ("study", "summary", "numbers", "overall", "table", "gains")),
    "studies/masks*",
)
OF_EACH["cache_masks._band_table"] = "studies/masks*"
PLACES = re.compile(r"^(/(home|root|work|tmp|usr|opt|mnt|var|Users|srv)(/|$)|[A-Za-z]:[\\/])")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PROJECT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(nodes: ast.AST | list[ast.stmt]) -> set[str]:
    """Full names of what is imported; ``from package import name`` counts as ``package.name``."""
    found: set[str] = set()
    for top in nodes if isinstance(nodes, list) else [nodes]:
        for node in ast.walk(top):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_level_imports(path: Path) -> set[str]:
    """Imports that run when the module is imported: those outside of functions and TYPE_CHECKING blocks."""
    found: set[str] = set()
    waiting: list[ast.stmt] = list(tree(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= imports([node])
        else:
            waiting += [child for child in ast.walk(node) if isinstance(child, ast.stmt) and child is not node]
    return found


def libraries(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def part(name: str) -> str:
    """``fer_core.models.specs`` -> ``models``."""
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize("path", sources("fer_core"), ids=name_of)
def test_imports_go_downwards(path):
    own = part(name_of(path))
    if not own:  # fer_core/__init__.py
        assert not {name for name in imports(tree(path)) if name.startswith("fer_core")}
        return
    assert own in LEVELS, f"fer_core.{own} is new: give it a level in LEVELS"
    for name in imports(tree(path)):
        assert not name.startswith("None."), f"{path.name} has a relative import"
        if name.startswith("fer_core.") and part(name) != own:
            assert part(name) in LEVELS, f"{name} is imported but has no level"
            assert LEVELS[part(name)] < LEVELS[own], f"{name_of(path)} (level {LEVELS[own]}) imports {name}"


@pytest.mark.parametrize("path", sources("fer_core"), ids=name_of)
def test_library_knows_no_streamlit_and_no_pages(path):
    assert not libraries(imports(tree(path))) & {"streamlit", "pages", "tests", "Home"}


@pytest.mark.parametrize("path", [PROJECT / "Home.py", *sources("pages")], ids=name_of)
def test_pages_leave_arithmetic_to_the_library(path):
    forbidden = HEAVY_LIBRARIES | {"sklearn", "scipy", "cv2"}
    assert not libraries(imports(tree(path))) & forbidden, "pages call fer_core; it does the computing"


@pytest.mark.parametrize("path", [PROJECT / "Home.py", *sources("pages")], ids=name_of)
def test_only_the_cache_modules_cache(path):
    uses = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    decorated = uses & {"cache_data", "cache_resource"}
    assert not decorated or path in CACHES


@pytest.mark.parametrize("path", CACHES, ids=name_of)
def test_every_cache_is_bounded(path):
    decorators = [
        decorator
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if "cache_" in ast.unparse(decorator)
    ]
    assert decorators
    for decorator in decorators:
        assert isinstance(decorator, ast.Call), f"{ast.unparse(decorator)} has no max_entries"
        assert "max_entries" in {keyword.arg for keyword in decorator.keywords}, ast.unparse(decorator)


@pytest.mark.parametrize("name", OF_EACH)
def test_a_view_of_all_that_is_stored_reads_each_once(name):
    """The one that was read longest ago is dropped first: with one too few places, every read is a new one."""
    module = importlib.import_module(f"pages.ui.{name.split('.')[0]}")
    stored = len(list((PROJECT / "artifacts").glob(OF_EACH[name])))
    assert getattr(module, name.split(".")[1])._info.max_entries >= 2 * stored > 0


@pytest.mark.parametrize("path", sources("fer_core/models", "fer_core/training"), ids=name_of)
def test_models_and_training_call_tensorflow_in_one_layer_only(path):
    if path != TENSORFLOW_LAYER:
        assert "tensorflow" not in libraries(imports(tree(path)))


def test_the_one_tensorflow_layer_is_there():
    assert "tensorflow" in libraries(imports(tree(TENSORFLOW_LAYER)))


@pytest.mark.parametrize("path", [PROJECT / "Home.py", *sources("fer_core", "pages")], ids=name_of)
def test_no_assert_in_the_library(path):
    lines = [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
    assert not lines, "python -O drops asserts: raise an error instead"


@pytest.mark.parametrize(
    "path", [PROJECT / "Home.py", *sources("fer_core", "pages", "tests", "benchmarks")], ids=name_of
)
def test_no_place_on_a_machine(path):
    found = {
        node.value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and PLACES.match(node.value)
    }
    assert not found, "paths are relative to the project, or come from a setting"


@pytest.mark.parametrize("path", sources("fer_core", "pages"), ids=name_of)
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("path", sources("fer_core", "pages"), ids=name_of)
def test_every_module_says_what_it_is_for(path):
    if path.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree(path))


def test_heavy_modules_exist_and_are_heavy():
    for name in HEAVY:
        path = PROJECT / (name.replace(".", "/") + ".py")
        assert path.is_file(), f"{name} is gone: take it off HEAVY"
    direct = {name_of(path) for path in sources("fer_core") if libraries(module_level_imports(path)) & HEAVY_LIBRARIES}
    assert direct <= set(HEAVY), "import these libraries inside the function that needs them"


def test_ring_loads_without_tensorflow():
    """Everything but HEAVY, imported in a fresh interpreter."""
    ring = [name_of(path) for path in sources("fer_core", "pages/ui")]
    ring = [name for name in ring if name not in HEAVY and not name.endswith("__main__")]
    code = (
        "import importlib, sys\n"
        f"for name in {ring!r}:\n"
        "    importlib.import_module(name)\n"
        f"    bad = {HEAVY_LIBRARIES!r} & set(sys.modules)\n"
        "    if bad: raise SystemExit(f'{name} imports {bad}')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]


def test_command_line_starts_without_tensorflow():
    if not (CORE / "__main__.py").is_file():
        pytest.skip("no command line yet")
    code = (
        "import sys, runpy\n"
        "sys.argv = ['fer_core', '--help']\n"
        "try: runpy.run_module('fer_core', run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"bad = {HEAVY_LIBRARIES!r} & set(sys.modules)\n"
        "sys.exit(f'imports {bad}' if bad else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
