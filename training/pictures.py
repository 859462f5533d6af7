"""Trains the tiny FLUX.1: its autoencoder, then its transformer with both text encoders, on pictures and on edits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import flow, measuring
from .drawing import draw
from .loop import Loop
from .models import FACTOR, LATENT_CHANNELS, SIDE, clip_ids, clip_numbers, t5_ids
from .scenes import LENGTH, Grammar, Scenes, text

LATENT_SIDE = SIDE // FACTOR
KL = 5e-4  # weight of the latents' distance from a normal distribution, against pixels of -1..1
UNSAID = 0.05  # share of the pictures that the transformer sees without a sentence


@dataclass(frozen=True)
class Settings:
    """How much is learnt from at once, and how."""

    eager: bool = False  # launch the kernels of a step one by one, instead of as one CUDA graph
    drawn: int = 32  # pictures of a step of the autoencoder
    made: int = 256  # of a step of the transformer, for prompts
    edited: int = 128  # and for edits
    pool: int = 49152  # encoded pictures to choose from
    renewed: int = 256  # of them, between two looks at the clock
    rate: float = 2e-3


class Pictures:
    """The models, the pictures that they learn from, and how they are trained and measured."""

    def __init__(self, models: dict[str, Any], device: torch.device, settings: Settings) -> None:
        self.vae, self.transformer, self.clip, self.t5 = (
            models[name].to(device) for name in ("vae", "transformer", "text_encoder", "text_encoder_2")
        )
        self.device, self.settings = device, settings
        self.grammar = Grammar(device, unseen=False)
        self._clip_numbers = torch.tensor(clip_numbers(), device=device)
        self._made, self._input = (flow.places(LATENT_SIDE, number, device) for number in range(2))
        self._words = torch.zeros(LENGTH, 3, device=device)
        self._unmasked = torch.zeros(1, 1, 1, LENGTH, device=device)  # T5 would make one, which no graph can hold
        self._at = 0

    def train_autoencoder(self, steps: int, seconds: float) -> None:
        """Train the autoencoder, then set its scaling and shift, by which latents have mean 0 and deviation 1."""
        loop = Loop("autoencoder", [self.vae], [self._autoencoder_loss], rate=2e-3, eager=self.settings.eager)
        loop.run(steps, seconds)
        with torch.no_grad():
            means = self.vae.encode(draw(self.grammar.scenes(256), SIDE) * 2 - 1).latent_dist.mean
        self.vae.register_to_config(scaling_factor=1 / float(means.std()), shift_factor=float(means.mean()))

    def _autoencoder_loss(self) -> Tensor:
        originals = draw(self.grammar.scenes(self.settings.drawn), SIDE) * 2 - 1
        mean, spread = self.vae.encoder(originals).chunk(2, dim=1)
        spread = spread.clamp(-12, 4)
        results = self.vae.decoder(mean + (0.5 * spread).exp() * torch.randn_like(mean))
        loss = functional.l1_loss(results, originals) + functional.mse_loss(results, originals)
        for axis in (-1, -2):  # steps from pixel to pixel are edges
            loss = loss + functional.l1_loss(results.diff(dim=axis), originals.diff(dim=axis))
        whole: Tensor = loss + KL * 0.5 * (mean.square() + spread.exp() - 1 - spread).mean()
        return whole

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures, 0..1, as tokens."""
        mean: Tensor = self.vae.encode(pictures * 2 - 1).latent_dist.mean
        return flow.pack((mean - self.vae.config.shift_factor) * self.vae.config.scaling_factor)

    def decode(self, tokens: Tensor) -> Tensor:
        """The reverse of `encode`."""
        latents = flow.unpack(tokens, LATENT_SIDE) / self.vae.config.scaling_factor + self.vae.config.shift_factor
        values: Tensor = self.vae.decode(latents).sample
        return (values / 2 + 0.5).clamp(0, 1)

    def train_transformer(self, steps: int, seconds: float, report: Callable[[], object]) -> None:
        """Train the transformer and the text encoders on a pool of pictures, which is renewed little by little."""
        size, tokens = self.settings.pool, (LATENT_SIDE**2 // 4, 4 * LATENT_CHANNELS)
        self._before, self._after = (torch.zeros(size, *tokens, device=self.device) for _ in range(2))
        self._caption, self._edit = (torch.zeros(size, LENGTH, dtype=torch.int64, device=self.device) for _ in range(2))
        for _ in range(size // self.settings.renewed):
            self._renew()
        blocks = [*self.transformer.transformer_blocks, *self.transformer.single_transformer_blocks]
        for module in (self.transformer.norm_out, *blocks):
            for name, linear in module.named_modules():
                if name == "linear" or name.endswith(".linear"):  # of the modulation: each block starts as nothing
                    nn.init.zeros_(linear.weight)
                    nn.init.zeros_(linear.bias)
        learnt = [self.transformer, self.clip, self.t5]
        hidden = [*blocks, *self.t5.encoder.block]
        matrices = [each.weight for block in hidden for each in block.modules() if isinstance(each, nn.Linear)]
        losses = [self._edited_loss, self._made_loss, self._made_loss, self._made_loss]
        loop = Loop(
            "transformer",
            learnt,
            losses,
            rate=self.settings.rate,
            matrices=matrices,
            eager=self.settings.eager,
            between=self._renew,
        )
        loop.run(steps, seconds, report)

    @torch.no_grad()
    def _renew(self) -> None:
        count, grammar = self.settings.renewed, self.grammar
        scenes = grammar.scenes(count)
        after, sentences, _ = grammar.edits(scenes)
        rows = slice(self._at, self._at + count)
        self._before[rows], self._after[rows] = (self.encode(draw(each, SIDE)) for each in (scenes, after))
        self._caption[rows], self._edit[rows] = grammar.captions(scenes), sentences
        self._at = (self._at + count) % len(self._before)

    def _made_loss(self) -> Tensor:
        choice, rows = self._chosen(self.settings.made, self._caption)
        return flow.loss(self._velocity(rows, None), self._before[choice])

    def _edited_loss(self) -> Tensor:
        choice, rows = self._chosen(self.settings.edited, self._edit)
        return flow.loss(self._velocity(rows, self._before[choice]), self._after[choice])

    def _chosen(self, count: int, sentences: Tensor) -> tuple[Tensor, Tensor]:
        choice = torch.randint(len(self._before), (count,), device=self.device)
        silence = torch.rand(count, 1, device=self.device) < UNSAID
        return choice, torch.where(silence, -1, sentences[choice])

    def _velocity(self, rows: Tensor, inputs: Tensor | None) -> flow.Velocity:
        """What the transformer makes of these sentences, rows of word numbers, and of an input picture's tokens."""
        words = self.t5(t5_ids(rows), self._unmasked)[0]
        pooled = self.clip(clip_ids(rows, self._clip_numbers)).pooler_output
        places = self._made if inputs is None else torch.cat([self._made, self._input])

        def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
            results: Tensor = self.transformer(
                hidden_states=noisy if inputs is None else torch.cat([noisy, inputs], dim=1),
                encoder_hidden_states=words,
                pooled_projections=pooled,
                timestep=sigma,
                img_ids=places,
                txt_ids=self._words,
                return_dict=False,
            )[0]
            return results[:, : noisy.shape[1]]

        return velocity

    @torch.no_grad()
    def make(self, rows: Tensor, inputs: Tensor | None, steps: int, scale: float = 1.0) -> Tensor:
        """Pictures, 0..1, that these sentences ask for; `inputs` are those to change, `scale` is that of guidance."""
        tokens = None if inputs is None else self.encode(inputs)
        sentence, silence = self._velocity(rows, tokens), self._velocity(torch.full_like(rows, -1), tokens)

        def velocity(noisy: Tensor, sigma: Tensor) -> Tensor:
            results = sentence(noisy, sigma)
            return results if scale == 1 else torch.lerp(silence(noisy, sigma), results, scale)

        noise = torch.randn(len(rows), len(self._made), 4 * LATENT_CHANNELS, device=self.device)
        return self.decode(flow.sample(velocity, noise, steps))

    @torch.no_grad()
    def through_autoencoder(self, count: int) -> dict[str, float]:
        """How much of held-out pictures is right after encoding and decoding, and before."""
        scenes = Grammar(self.device, unseen=True).scenes(count)
        originals = draw(scenes, SIDE)
        through = self.decode(self.encode(originals))
        before, after = (measuring.picture(each, scenes).shares() for each in (originals, through))
        psnr = round(float(-10 * (through - originals).square().mean().log10()), 2)
        return {f"{name} drawn": value for name, value in before.items()} | after | {"psnr": psnr}

    def measure(self, count: int, steps: int, scale: float = 1.0) -> dict[str, dict[str, float]]:
        """How often held-out prompts and edits are drawn right."""
        grammar = Grammar(self.device, unseen=True)
        scenes = grammar.scenes(count)
        results = self.make(grammar.captions(scenes), None, steps, scale)
        after, sentences, fair = grammar.edits(scenes)
        changes = measuring.picture(self.make(sentences, draw(scenes, SIDE), steps, scale), after)
        edits = measuring.Right(changes.colour[fair], changes.shape[fair], changes.place[fair])
        return {"prompts": measuring.picture(results, scenes).shares(), "edits": edits.shares()}

    def examples(self, count: int, steps: int, scale: float) -> tuple[Tensor, list[str]]:
        """Pictures in three rows, made, drawn and edited, of held-out scenes; and the sentences of made and edited."""
        grammar = Grammar(self.device, unseen=True)
        scenes: Scenes = grammar.scenes(count)
        rows, sentences, originals = grammar.captions(scenes), grammar.edits(scenes)[1], draw(scenes, SIDE)
        sheet = [self.make(rows, None, steps, scale), originals, self.make(sentences, originals, steps, scale)]
        return torch.cat(sheet), text(rows) + text(sentences)
