"""The graphics of a machine, and whether torch computes on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xcompat.domain.gpu import Card, Outlook
    from xcompat.render.text import Page

_USES = {
    True: ("used", "green"),
    False: ("not used", "yellow"),
    None: ("nobody knows whether it is used", "yellow"),
}


def outlook_as_json(outlook: Outlook) -> dict[str, Any]:
    """Return the stable form of what is known of the graphics; fields may be added."""
    graphics = outlook.graphics
    return {
        "cards": [_card_as_json(card) for card in graphics.cards],
        "drivers": dict(graphics.drivers),
        "variables": dict(graphics.variables),
        "trouble": graphics.trouble,
        "card": _card_as_json(outlook.card) if outlook.card else None,
        "uses": outlook.uses,
        "why": outlook.why,
        "build": outlook.build,
        "command": outlook.command,
        "signs": {sign: list(seen) for sign, seen in outlook.signs.items()},
    }


def in_short(outlook: Outlook, command: str) -> tuple[str, ...]:
    """Return, in sentences, why the smoke cannot take the card; `command` is what to type."""
    card = outlook.card
    if card is None:
        return ()
    if card.vendor == "intel":
        return (f"{card.called} is not taken: the smoke computes on cuda, mps or cpu",)
    told = [*outlook.signs.get("gpu-small", ())]
    if outlook.uses is False:
        todo = f"; {command}" if command else ""
        told.insert(0, f"{card.called} is not taken: {outlook.why}{todo}")
    return tuple(told)


def _card_as_json(card: Card) -> dict[str, Any]:
    return {
        "vendor": card.vendor,
        "name": card.name,
        "architecture": card.architecture,
        "memory_mib": card.memory or None,
        "integrated": card.integrated,
        "ready": card.ready,
    }


def show_outlook(page: Page, outlook: Outlook) -> None:
    """Write one line of the graphics, where there are any that can compute."""
    card = outlook.card
    if card is None:
        return
    told = [card.architecture] if card.architecture and card.architecture not in card.called else []
    told += [f"{card.memory / 1024:.1f} GiB"] if card.memory else []
    driver = outlook.graphics.drivers.get(card.vendor)
    told += [f"driver {driver}"] if driver else []
    alike = outlook.graphics.cards.count(card)
    times = f" ({alike} times)" if alike > 1 else ""
    name = f"{card.called}{times}{', ' if told else ''}{', '.join(told)}"
    if outlook.why:
        word, style = _USES[outlook.uses]
        page.prose(f"{name}: ", (word, style), f", {outlook.why}", indent=2, hang=2)
    else:
        page.prose(name, indent=2)
