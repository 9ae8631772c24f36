"""What never goes away is left out of garbage collection, and nothing else."""

import gc
import subprocess
import sys
import weakref

import pytest

from pages.ui import upkeep
from tests.conftest import PROJECT


class Knot:
    """Refers to itself, so only a collection frees it."""

    def __init__(self):
        self.me = self


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(upkeep, "_spared", set())


def test_a_library_is_imported_and_spared_once(fresh):
    before = gc.get_freeze_count()
    kept = [Knot() for _ in range(100)]
    upkeep.spare("this")
    spared = gc.get_freeze_count()
    assert "this" in sys.modules and spared >= before + len(kept)
    more = [Knot() for _ in range(100)]
    upkeep.spare("this")
    assert gc.get_freeze_count() <= spared, "what came later is not spared"
    assert any(found is more[0] for found in gc.get_objects())
    assert not any(found is kept[0] for found in gc.get_objects())


def test_garbage_is_freed_before_and_afterwards(fresh):
    earlier = weakref.ref(Knot())
    upkeep.spare("this")
    later = weakref.ref(Knot())
    gc.collect()
    assert earlier() is None and later() is None


def test_a_library_that_is_not_there_is_an_error_the_next_time_too(fresh):
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            upkeep.spare("no_such_library")


@pytest.mark.slow
def test_with_a_network_on_a_page_most_objects_are_spared(workshop):
    code = (
        "import gc, sys\nfrom streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('Home.py', default_timeout=120)\n"
        f"app.query_params['source'], app.query_params['model'] = 'Samples', {workshop.run!r}\n"
        "app.run()\nassert not app.exception\nassert 'keras' in sys.modules\n"
        "walked, spared = len(gc.get_objects()), gc.get_freeze_count()\n"
        "sys.exit(f'{walked} are walked, {spared} spared' if walked > spared / 2 else 0)\n"
    )
    environment = workshop.environment() | {"PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
