"""Many texts, decoded together: each sounds as it would alone."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Optional

from . import options


def speak(
    model: Any,
    texts: Iterable[str],
    language: str,
    gpt_cond_latent: Any,
    speaker_embedding: Any,
    *,
    together: int = 8,
    seed: Optional[int] = None,
    speed: float = 1.0,
    **sampling: Any,
) -> Iterator[dict[str, Any]]:
    """Say texts with one voice; yield for each, in their order, what `Xtts.inference` returns.

    Each comes as soon as it and those before it have ended, while the others go on.

    The text number i is said as `torch.manual_seed(seed + i)` and `model.inference` would say it,
    whatever it is said together with. On another device than the CPU sums are taken in another
    order in a batch, and a near tie can fall otherwise.

    Args:
        model: A model that `load_xtts` attached the runtime to, or the `Runtime` that `attach`
            returned.
        texts: Each of them a sentence, or as long as `inference` takes it without splitting.
        language: Of all texts, such as `en`.
        gpt_cond_latent: Of the voice, as `inference` takes it.
        speaker_embedding: Of the voice.
        together: How many are decoded at once, at most. Each needs room for its keys and values: at
            full size a quarter of a megabyte for each token of text and sound.
        seed: Where the random choices begin; from torch's own state if None.
        speed: As in `inference`.
        sampling: `temperature`, `top_k`, `top_p`, `repetition_penalty`, `do_sample`,
            `max_new_tokens`; the defaults are those of `inference`.

    Raises:
        ValueError: The runtime is not attached, `together` is not positive, an option is not
            known, or a text is empty or longer than XTTS takes.
    """
    attached = getattr(model, "xcompat", model)
    if not hasattr(attached, "decoder"):
        raise ValueError('speak needs the runtime: load_xtts(folder, runtime="xcompat"), or attach')
    if together < 1:
        raise ValueError(f"together is {together}; it must be positive")
    return _Speaker(attached, language, (gpt_cond_latent, speaker_embedding), speed, sampling).say(
        texts, together, seed
    )


class _Speaker:
    """One voice, one language and one way to choose tokens."""

    def __init__(
        self, attached: Any, language: str, voice: tuple[Any, Any], speed: float, sampling: Any
    ) -> None:
        self.model, self.decoder = attached.model, attached.decoder
        self.vocoder = attached.vocoder
        self.language = language.partition("-")[0]
        self.voice, self.speed = voice, speed
        usual = {"do_sample": True, "temperature": 0.75, "top_k": 50, "top_p": 0.85}
        usual["repetition_penalty"] = 10.0
        self.sampling = {**usual, **sampling}

    def say(
        self, texts: Iterable[str], together: int, seed: Optional[int]
    ) -> Iterator[dict[str, Any]]:
        import torch

        if seed is None:
            seed = int(torch.randint(1 << 31, (1,)))
        group: list[str] = []
        for text in texts:
            group.append(text)
            if len(group) == together:
                yield from self._said(group, seed)
                seed, group = seed + len(group), []
        if group:
            yield from self._said(group, seed)

    def _said(self, texts: list[str], seed: int) -> Iterator[dict[str, Any]]:
        import torch

        said = self._sounds(self._decoded(texts, seed))
        while True:
            # A generator gives its mode to whoever drains it, so it is set anew for each step.
            with torch.no_grad():
                one = next(said, None)
            if one is None:
                return
            yield one

    def _decoded(self, texts: list[str], seed: int) -> Iterator[list[Any]]:
        """Yield the latents of texts, shape (tokens, channels), that have ended with those before.

        In their order, and as many at once as the host learns of at once.
        """
        import torch

        device = self.decoder.gpt.mel_head.weight.device
        prefixes = [self._prefix(text, device) for text in texts]
        longest = max(prefixes, key=lambda prefix: int(prefix.shape[1]))
        chosen = options.read_options(
            self.sampling, self.decoder.limit, self.decoder.usual_limit(longest)
        )
        generators = [
            torch.Generator(device).manual_seed(seed + index) for index in range(len(texts))
        ]
        windows = self.decoder.windows(
            [prefix[0] for prefix in prefixes], chosen, generators=generators
        )
        parts: list[Any] = []
        ends: dict[int, int] = {}
        told = done = 0
        for tokens, latents in windows:
            parts.append(latents)
            for row, stops in enumerate((tokens == self.decoder.stop).cpu().tolist()):
                if True in stops and row not in ends:
                    # The stop token is decoded, too, and sounds.
                    ends[row] = done + stops.index(True) + 1
            done += len(stops)
            first = told
            while told in ends:
                told += 1
            yield [torch.cat([p[row] for p in parts])[: ends[row]] for row in range(first, told)]
        yield [
            torch.cat([part[row] for part in parts])[: ends.get(row, done)]
            for row in range(told, len(texts))
        ]

    def _prefix(self, text: str, device: Any) -> Any:
        import torch

        ids = self.model.tokenizer.encode(text.strip().lower(), lang=self.language)
        limit = self.model.args.gpt_max_text_tokens
        if not 0 < len(ids) < limit:
            raise ValueError(f"a text of {len(ids)} tokens; XTTS takes 1 to {limit - 1}: {text!r}")
        text_tokens = torch.tensor([ids], dtype=torch.int32, device=device)
        return self.decoder.prefix(self.voice[0].to(device), text_tokens)

    def _sounds(self, ended: Iterable[list[Any]]) -> Iterator[dict[str, Any]]:
        import torch

        for some in ended:
            latents = [self._at_speed(one) for one in some]
            if not latents:
                continue
            embedding = self.voice[1].to(latents[0].device)
            for one, wav in zip(latents, self._vocoded(latents, embedding)):
                yield {
                    "wav": wav.cpu().squeeze().to(torch.float32).numpy(),
                    "gpt_latents": one[None].cpu().numpy(),
                    "speaker_embedding": embedding,
                }

    def _at_speed(self, latents: Any) -> Any:
        from torch.nn import functional as F

        scale = 1.0 / max(self.speed, 0.05)
        if scale == 1.0:
            return latents
        return F.interpolate(latents.t()[None], scale_factor=scale, mode="linear")[0].t()

    def _vocoded(self, latents: list[Any], embedding: Any) -> Iterator[Any]:
        if self.vocoder is not None:
            yield from self.vocoder.each(latents, embedding)
            return
        for one in latents:
            yield self.model.hifigan_decoder(one[None], g=embedding)
