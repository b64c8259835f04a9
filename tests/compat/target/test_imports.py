"""Stand-ins at import, with packages that are broken in the ways the real ones are.

That the real TTS imports, beside transformers 4.33 to 5.23, is proved by `nox -s runtime`.
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from xcompat import importing_tts
from xcompat.target import deferred, imports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Packages = Callable[[dict[str, str]], None]

XTTS = {
    "TTS/tts/models/xtts.py": (
        "from TTS.tts.layers.xtts.stream_generator import init_stream_support\n"
        "from TTS.tts.layers.tortoise.arch_utils import TypicalLogitsWarper\n"
        "init_stream_support()\n"
        "class Xtts: warper = TypicalLogitsWarper\n"
    ),
    "TTS/tts/layers/xtts/stream_generator.py": (
        "from transformers import BeamSearchScorer, PreTrainedModel\n"
        "def init_stream_support(): PreTrainedModel.generate_stream = BeamSearchScorer\n"
    ),
    "TTS/tts/layers/tortoise/arch_utils.py": (
        "from transformers import LogitsWarper\nclass TypicalLogitsWarper(LogitsWarper): pass\n"
    ),
    "TTS/tts/models/vits.py": "class Vits: pass\n",
}
OLD_TRANSFORMERS = (
    "class BeamSearchScorer: pass\nclass PreTrainedModel: pass\nclass LogitsWarper: pass\n"
)
NEW_TRANSFORMERS = "class PreTrainedModel: pass\nclass LogitsProcessor: pass\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    """Make packages that are forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(sys.modules)

    def make(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            for folder in path.relative_to(tmp_path).parents:
                init = tmp_path / folder / "__init__.py"
                if folder.name and not init.exists():
                    init.touch()
        importlib.invalidate_caches()

    yield make
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    imports._kept.clear()
    imports._filled.clear()


def _xtts() -> Any:
    return importlib.import_module("TTS.tts.models.xtts")


def test_an_old_tts_imports_beside_a_new_transformers(packages: Packages) -> None:
    packages({**XTTS, "transformers/__init__.py": NEW_TRANSFORMERS})
    with pytest.raises(ImportError, match="BeamSearchScorer"):
        _xtts()
    with importing_tts() as filled:
        xtts = _xtts()
    transformers = importlib.import_module("transformers")
    assert issubclass(xtts.Xtts.warper, transformers.LogitsProcessor)
    assert any("BeamSearchScorer" in what for what in filled)
    assert "transformers.LogitsWarper" in filled


def test_transformers_itself_stays_as_it_is(packages: Packages) -> None:
    packages({**XTTS, "transformers/__init__.py": NEW_TRANSFORMERS})
    transformers = importlib.import_module("transformers")
    before = dict(vars(transformers))
    with importing_tts():
        _xtts()
        assert vars(transformers) == before
    assert not hasattr(transformers.PreTrainedModel, "generate_stream")


def test_what_needs_a_stand_in_cannot_be_imported_after_the_block(packages: Packages) -> None:
    packages({**XTTS, "transformers/__init__.py": NEW_TRANSFORMERS})
    finders = list(sys.meta_path)
    with importing_tts():
        ours = _xtts()
        importlib.import_module("TTS.tts.models.vits")
    assert sys.meta_path == finders
    for name in ("models.xtts", "layers.xtts.stream_generator", "layers.tortoise.arch_utils"):
        assert f"TTS.tts.{name}" not in sys.modules
        with pytest.raises(ImportError, match="cannot import name"):
            importlib.import_module(f"TTS.tts.{name}")
    # What imports without help stays, and is the same object for everybody.
    assert "TTS.tts.models.vits" in sys.modules
    assert not hasattr(sys.modules["TTS.tts.models"], "xtts")
    with importing_tts():
        assert _xtts() is ours


def test_what_a_later_block_imports_over_an_earlier_one_goes_too(packages: Packages) -> None:
    api = "from TTS.tts.models.xtts import Xtts\nclass TTS: model = Xtts\n"
    packages({**XTTS, "TTS/api.py": api, "transformers/__init__.py": NEW_TRANSFORMERS})
    with importing_tts():
        _xtts()
    with importing_tts():
        ours = importlib.import_module("TTS.api")
    assert "TTS.api" not in sys.modules
    with pytest.raises(ImportError, match="cannot import name"):
        importlib.import_module("TTS.api")
    with importing_tts():
        assert importlib.import_module("TTS.api") is ours


BROKEN_CONFIG = (
    "from transformers import GenerationConfig, PreTrainedModel\n"
    "class StreamGenerationConfig(GenerationConfig):\n"
    "    def __init__(self): self.do_stream = self.missing\n"
    "def init_stream_support(): PreTrainedModel.generate_stream = 1\n"
)
GENERATION_CONFIG = (
    "class PreTrainedModel: pass\nclass GPT2Config: pass\n"
    "class GenerationConfig:\n"
    "    @classmethod\n"
    "    def from_model_config(cls, config): return cls()\n"
)


def test_a_block_inside_another_is_part_of_it(packages: Packages) -> None:
    packages({**XTTS, "transformers/__init__.py": NEW_TRANSFORMERS})
    with importing_tts() as outer, importing_tts() as filled:
        importlib.import_module("TTS.tts.models.vits")
        _xtts()
    assert "transformers.LogitsWarper" in filled
    assert outer is filled
    assert "TTS.tts.models.xtts" not in sys.modules


def test_a_stream_configuration_that_cannot_be_made_is_stood_in_for(packages: Packages) -> None:
    packages(
        {
            "TTS/tts/layers/xtts/stream_generator.py": BROKEN_CONFIG,
            "transformers/__init__.py": GENERATION_CONFIG,
        }
    )
    with importing_tts() as filled:
        module = importlib.import_module("TTS.tts.layers.xtts.stream_generator")
        assert type(module.StreamGenerationConfig.from_model_config(None)).__name__ == (
            "StreamGenerationConfig"
        )
        module.init_stream_support()
    transformers = importlib.import_module("transformers")
    assert not hasattr(transformers.PreTrainedModel, "generate_stream")
    assert "no attribute 'missing'" in filled[0]


def test_a_tts_that_imports_is_left_alone(packages: Packages) -> None:
    packages({**XTTS, "transformers/__init__.py": OLD_TRANSFORMERS})
    with importing_tts() as filled:
        xtts = _xtts()
    assert filled == []
    assert _xtts() is xtts
    transformers = importlib.import_module("transformers")
    assert xtts.Xtts.warper.__mro__[1] is transformers.LogitsWarper
    # The real module ran, with what it does to transformers.
    assert transformers.PreTrainedModel.generate_stream is transformers.BeamSearchScorer
    generator = sys.modules["TTS.tts.layers.xtts.stream_generator"]
    loader = generator.__spec__.loader if generator.__spec__ else None
    assert type(loader).__name__ == "SourceFileLoader"


def test_a_filled_module_gets_the_ordinary_builtins_back(packages: Packages) -> None:
    packages({**XTTS, "transformers/__init__.py": NEW_TRANSFORMERS})
    with importing_tts():
        _xtts()
        module = sys.modules["TTS.tts.layers.tortoise.arch_utils"]
    assert module.__dict__["__builtins__"] is sys.modules["builtins"].__dict__


def test_another_thread_does_not_meet_the_hook(packages: Packages) -> None:
    packages({**XTTS, "transformers/__init__.py": NEW_TRANSFORMERS})
    errors: list[str] = []

    def look() -> None:
        try:
            importlib.import_module("TTS.tts.layers.tortoise.arch_utils")
        except ImportError as error:
            errors.append(str(error))

    with importing_tts() as filled:
        other = threading.Thread(target=look)
        other.start()
        other.join()
    assert "LogitsWarper" in errors[0]
    assert filled == []


def test_only_the_missing_names_are_filled(packages: Packages) -> None:
    packages(
        {
            "TTS/tts/layers/tortoise/autoregressive.py": (
                "from transformers.pytorch_utils import isin_mps_friendly as isin, nothing\n"
            ),
            "transformers/pytorch_utils.py": "",
            "torch/__init__.py": "def isin(a, b): return a in b\n",
        }
    )
    with pytest.raises(ImportError, match="nothing"), importing_tts():
        importlib.import_module("TTS.tts.layers.tortoise.autoregressive")


def test_an_import_that_fails_for_another_reason_fails(packages: Packages) -> None:
    packages(
        {
            "TTS/tts/layers/xtts/stream_generator.py": "import surely_not_installed\n",
        }
    )
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"), importing_tts():
        importlib.import_module("TTS.tts.layers.xtts.stream_generator")


CODEC_CHECK = {
    "TTS/__init__.py": (
        "from TTS.utils.import_utils import is_torchcodec_available\n"
        "if not is_torchcodec_available(): raise ImportError('torchcodec is required')\n"
    ),
    "TTS/utils/import_utils.py": "def is_torchcodec_available(): return False\n",
}


def test_coqui_tts_imports_without_torchcodec(packages: Packages) -> None:
    packages({**CODEC_CHECK, "torch/__init__.py": "__version__ = '2.11.0+cpu'\n"})
    with importing_tts() as filled:
        importlib.import_module("TTS")
    assert filled == ["TTS.utils.import_utils.is_torchcodec_available"]
    assert not [name for name in sys.modules if name.startswith("TTS")]
    with pytest.raises(ImportError, match="torchcodec is required"):
        importlib.import_module("TTS")


def test_what_a_failed_import_left_behind_makes_room_and_comes_back(packages: Packages) -> None:
    files = {
        "TTS/__init__.py": f"import TTS.tts.configs\n{CODEC_CHECK['TTS/__init__.py']}",
        "TTS/utils/import_utils.py": CODEC_CHECK["TTS/utils/import_utils.py"],
        "TTS/tts/configs.py": "",
        "TTS/tts/other.py": "",
        "torch/__init__.py": "__version__ = '2.11.0'\n",
    }
    packages(files)
    with pytest.raises(ImportError, match="torchcodec is required"):
        importlib.import_module("TTS")
    left = {name: module for name, module in sys.modules.items() if name.startswith("TTS")}
    assert "TTS" not in left
    assert left
    with importing_tts():
        importlib.import_module("TTS.tts.other")
        assert "TTS" in sys.modules
    after = {name: module for name, module in sys.modules.items() if name.startswith("TTS")}
    assert after == left


def test_no_torchcodec_is_no_gap_before_torch_2_9(packages: Packages) -> None:
    packages({**CODEC_CHECK, "torch/__init__.py": "__version__ = '2.8.0+cpu'\n"})
    with pytest.raises(ImportError, match="torchcodec is required"), importing_tts():
        importlib.import_module("TTS")


def test_a_missing_six_is_stood_in_for_in_one_module(
    packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages(
        {
            "TTS/tts/utils/text/punctuation.py": (
                "import six\nclass Punctuation: text = isinstance('a', six.string_types)\n"
            ),
            "TTS/tts/other.py": "import six\n",
        }
    )
    monkeypatch.setitem(sys.modules, "six", None)
    with importing_tts() as filled:
        punctuation = importlib.import_module("TTS.tts.utils.text.punctuation")
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("TTS.tts.other")
    assert filled == ["six"]
    assert punctuation.Punctuation.text


HELPERS = {
    "TTS/tts/utils/helpers.py": (
        "import librosa\n"
        "import scipy.io.wavfile\n"
        "import scipy.signal\n"
        "import matplotlib.pyplot as plt\n"
        "from scipy.stats import betabinom\n"
        "def draw(): return betabinom(2), plt.figure(), librosa.tone\n"
        "def read(): return scipy.io.wavfile.read(), scipy.signal.filtered\n"
    ),
    "librosa/__init__.py": "tone = 440\n",
    "matplotlib/pyplot.py": "def figure(): return 'figure'\n",
    "scipy/stats.py": "class betabinom:\n    def __init__(self, n): self.n = n\n",
    "scipy/io/wavfile.py": "def read(): return 'samples'\n",
    "scipy/signal.py": "filtered = 3\n",
}


def test_what_tts_uses_later_is_imported_when_it_is_used(packages: Packages) -> None:
    packages(HELPERS)
    with importing_tts():
        helpers = importlib.import_module("TTS.tts.utils.helpers")
    unused = [name for name in sys.modules if name.partition(".")[0] in {"scipy", "librosa"}]
    assert unused == []
    rv, figure, tone = helpers.draw()
    stats = importlib.import_module("scipy.stats")
    assert isinstance(rv, stats.betabinom)
    assert (rv.n, figure, tone) == (2, "figure", 440)
    # Now they are what they would have been.
    assert helpers.betabinom is stats.betabinom
    assert helpers.librosa is sys.modules["librosa"]
    assert helpers.plt is sys.modules["matplotlib.pyplot"]
    assert helpers.read() == ("samples", 3)
    assert helpers.scipy is sys.modules["scipy"]


def test_another_importer_meets_no_stand_in(packages: Packages) -> None:
    packages({**HELPERS, "other.py": "from scipy.stats import betabinom\nimport librosa\n"})
    with importing_tts():
        importlib.import_module("TTS.tts.utils.helpers")
        other = importlib.import_module("other")
    assert isinstance(other.betabinom, type)
    assert other.librosa is sys.modules["librosa"]


def test_what_is_not_installed_fails_where_it_is_imported(packages: Packages) -> None:
    packages({"TTS/tts/utils/helpers.py": "import spacy.lang.ar\n"})
    with pytest.raises(ModuleNotFoundError, match="spacy"), importing_tts():
        importlib.import_module("TTS.tts.utils.helpers")


SPACY = {
    "TTS/tts/models/xtts.py": "from TTS.tts.layers.tokenizer import lang\nclass Xtts: pass\n",
    "TTS/tts/layers/tokenizer.py": (
        "from spacy.lang.ar import Arabic\ndef lang(): return Arabic()\n"
    ),
    "spacy/__init__.py": "import click\n",
    "spacy/lang/ar.py": "class Arabic: pass\n",
}


def test_a_package_that_is_broken_is_stood_in_for(
    packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    packages(SPACY)
    for _ in range(2):
        with importing_tts() as filled:
            tokenizer = importlib.import_module("TTS.tts.layers.tokenizer")
            _xtts()
        assert [what.partition(" (")[0] for what in filled] == ["spacy"]
        for name in ("TTS.tts.layers.tokenizer", "TTS.tts.models.xtts"):
            assert name not in sys.modules
            with pytest.raises(ModuleNotFoundError, match="click"):
                importlib.import_module(name)
    with pytest.raises(ModuleNotFoundError, match="click"):
        tokenizer.lang()


def test_a_package_that_is_suspected_and_imports_is_not_stood_in_for(packages: Packages) -> None:
    packages({**SPACY, "click.py": ""})  # thinc and numpy are not installed here
    with importing_tts() as filled:
        _xtts()
    assert filled == []
    assert "spacy" in sys.modules
    assert _xtts().Xtts


@pytest.mark.parametrize(("python", "broken"), [((3, 9), ["bangla"]), ((3, 10), [])])
def test_bengali_is_stood_in_for_where_python_cannot_read_it(
    packages: Packages, monkeypatch: pytest.MonkeyPatch, python: tuple[int, int], broken: list[str]
) -> None:
    monkeypatch.setattr(deferred.sys, "version_info", python)
    packages(
        {
            "TTS/tts/models/xtts.py": "import bangla\nclass Xtts: pass\n",
            "bangla/__init__.py": "raise TypeError('unsupported operand')\n",
        }
    )
    with importing_tts() as filled:
        assert _xtts().Xtts
    assert [what.partition(" (")[0] for what in filled] == broken


def test_nothing_is_put_off_outside_the_block(packages: Packages) -> None:
    packages(HELPERS)
    helpers = importlib.import_module("TTS.tts.utils.helpers")
    assert type(helpers.librosa).__name__ == "module"


def test_functions_of_tts_keep_the_builtins_of_everybody(packages: Packages) -> None:
    packages({"TTS/tts/other.py": "import sys\ndef builtins_of(): pass\n"})
    with importing_tts():
        other = importlib.import_module("TTS.tts.other")
    assert other.builtins_of.__builtins__ is sys.modules["builtins"].__dict__


def test_plots_come_from_the_tts_that_asked_for_them(packages: Packages) -> None:
    files = {
        **CODEC_CHECK,
        "torch/__init__.py": "__version__ = '2.11.0'\n",
        "matplotlib/__init__.py": "def use(backend): global used; used = backend\n",
        "TTS/tts/utils/visual.py": (
            "import matplotlib\nmatplotlib.use('Agg')\ndef plot(): return 7\n"
        ),
        "TTS/tts/models/base_tts.py": "from TTS.tts.utils.visual import plot\n",
    }
    packages(files)
    with importing_tts():
        base = importlib.import_module("TTS.tts.models.base_tts")
    assert "matplotlib" not in sys.modules
    assert base.plot() == 7
    assert sys.modules["matplotlib"].used == "Agg"
    assert not [name for name in sys.modules if name.startswith("TTS")]


def test_a_block_within_a_block_is_part_of_it(packages: Packages) -> None:
    packages({**XTTS, "transformers/__init__.py": NEW_TRANSFORMERS})
    with importing_tts():
        with importing_tts() as filled:
            xtts = _xtts()
        assert "transformers.LogitsWarper" in filled
        assert _xtts() is xtts
        assert importlib.import_module("TTS.tts.models.vits").Vits
    with pytest.raises(ImportError):
        _xtts()
