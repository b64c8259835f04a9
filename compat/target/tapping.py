"""Listen to what a method of a live model returns, and leave it as it was."""

from __future__ import annotations

from typing import Any, Callable


class Tap:
    """Call `keep` with every result of `owner.name(...)` inside the block."""

    def __init__(self, owner: Any, name: str, keep: Callable[[Any], None]) -> None:
        self.owner, self.name, self.keep = owner, name, keep
        # The xcompat runtime sets attributes of the instance itself.
        self.before = vars(owner).get(name)

    def __enter__(self) -> None:
        original = getattr(self.owner, self.name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            self.keep(result)
            return result

        setattr(self.owner, self.name, wrapper)

    def __exit__(self, *_: object) -> None:
        if self.before is None:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.before)


class InputTap(Tap):
    """Call `keep` with the first argument of every call of `owner.name(...)` inside the block."""

    def __enter__(self) -> None:
        original = getattr(self.owner, self.name)

        def wrapper(first: Any, *args: Any, **kwargs: Any) -> Any:
            self.keep(first)
            return original(first, *args, **kwargs)

        setattr(self.owner, self.name, wrapper)


class GeneratorTap(Tap):
    """Collect the tokens that the streaming generator of `gpt` yields."""

    def __init__(self, gpt: Any, codes: list[int]) -> None:
        super().__init__(gpt, "get_generator", lambda _: None)
        self.codes = codes

    def __enter__(self) -> None:
        original = self.owner.get_generator

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            for code, latent in original(*args, **kwargs):
                self.codes.append(int(code))
                yield code, latent

        self.owner.get_generator = wrapper
