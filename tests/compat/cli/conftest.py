"""The machine that commands are typed on has no graphics card, whatever it has."""

import pytest

from xcompat.domain.gpu import Graphics


class _NothingSeen:
    """A look that found no card."""

    def found(self):
        return Graphics()


@pytest.fixture(autouse=True)
def _no_card(monkeypatch):
    monkeypatch.setattr("xcompat.environment.gpu.GraphicsProbe", _NothingSeen)
