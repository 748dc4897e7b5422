"""The tower's own school: writings of a class look alike, and a scene tells what is where.

It stands in for CLIP, which nobody can train in minutes: a supervised InfoNCE loss (Khosla et al.
2020, arXiv 2004.11362) between two writings of a glyph class, and attribute heads on scenes. The
heads are thrown away; what is kept is the tower, its features centred and scaled once and for all.
"""

import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from otter.model.stem_vision import StemVisionConfig, StemVisionModel
from otter.nano.colour import Pixels, colour
from otter.nano.glyphs import writings
from otter.nano.scenes import COLOURS, PLACES, SHAPES, SIZES, TEXTURES, Scene, draw, random_scene

MEAN, SCALE = 0.353, 0.251
"""What is taken from, and what divides, a pixel in 0..1; the same for every channel."""


@dataclass(frozen=True)
class TowerPlan:
    """Sizes of the tower's training. The defaults made the shipped tower.

    Args:
        classes: glyph classes, of the numbers from 0.
        instances: writings of each class.
        scenes: pictures of coloured shapes.
        steps: optimizer steps.
        pairs: classes of a step, each with two writings.
        scenes_per_step: scenes of a step.
        lr: the peak of the learning rate.
        seed: of everything drawn.
        workers: processes that draw.
    """

    classes: int = 6000
    instances: int = 20
    scenes: int = 20000
    steps: int = 2600
    pairs: int = 64
    scenes_per_step: int = 32
    lr: float = 2e-3
    seed: int = 0
    workers: int = 2


class TowerTask(nn.Module):
    """The tower with the heads that only its training needs."""

    def __init__(self, config: StemVisionConfig) -> None:
        super().__init__()
        self.tower = StemVisionModel(config)
        width = config.hidden_size
        self.project = nn.Linear(width, width)
        self.things = nn.Linear(width, len(SHAPES) + len(COLOURS) + len(SIZES) + 2)
        self.texture = nn.Linear(width, len(TEXTURES))
        self.log_scale = nn.Parameter(torch.tensor(math.log(12.0)))

    def forward(
        self, pictures: Tensor, pairs: int, things: Tensor, textures: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The two losses, each a scalar.

        Args:
            pictures: float[2 * pairs + scenes, 3, height, width]; the first ones are writings, two
                by two of one class.
            pairs: how many classes there are.
            things: long[scenes, places, 3] from :func:`_labels`.
            textures: long[scenes], indices of TEXTURES.

        Returns:
            How far two writings of a class are from finding each other, and how far a scene is from
            telling what is in each place and on what ground.
        """
        features = self.tower(pictures).last_hidden_state
        glyphs, scenes = features[: 2 * pairs].mean(1), features[2 * pairs :]
        return self._contrast(glyphs), self._attributes(scenes, things, textures)

    def _contrast(self, glyphs: Tensor) -> Tensor:
        z = functional.normalize(self.project(glyphs), dim=-1)
        similarity = self.log_scale.exp().clamp(max=50) * z[0::2] @ z[1::2].T
        target = torch.arange(len(similarity))
        there = functional.cross_entropy(similarity, target)
        back = functional.cross_entropy(similarity.T, target)
        return (there + back) / 2

    def _attributes(self, scenes: Tensor, things: Tensor, textures: Tensor) -> Tensor:
        half = int(scenes.shape[1] ** 0.5) // 2
        places = scenes.view(-1, 2, half, 2, half, scenes.shape[-1]).mean((2, 4)).flatten(1, 2)
        logits = self.things(places).split([len(SHAPES) + 1, len(COLOURS) + 1, len(SIZES)], -1)
        of_shape, of_colour, of_size = (
            functional.cross_entropy(logit.flatten(0, 1), things[..., n].flatten(), ignore_index=-1)
            for n, logit in enumerate(logits)
        )
        of_texture = functional.cross_entropy(self.texture(scenes.mean(1)), textures)
        return of_shape + of_colour + of_size + of_texture


def train_tower(
    plan: TowerPlan, on_progress: Callable[[int, int, float], None] | None = None
) -> StemVisionModel:
    """Train a tower from nothing.

    Args:
        plan: sizes.
        on_progress: told (step, steps, loss) after each step.
    """
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    masks = glyph_masks(range(plan.classes), plan.instances, plan.workers)
    scenes, things, textures = _scenes(plan.scenes, rng)
    task = TowerTask(StemVisionConfig())
    optimizer = torch.optim.AdamW(
        task.parameters(), lr=plan.lr, weight_decay=0.05, betas=(0.9, 0.98), fused=True
    )
    for step in range(plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(plan, step)
        chosen = rng.choice(plan.classes, plan.pairs, replace=False).repeat(2)
        which = [rng.choice(plan.instances, 2, replace=False) for _ in range(plan.pairs)]
        rows = rng.integers(0, plan.scenes, plan.scenes_per_step)
        glyphs = colour(masks[chosen, np.concatenate(which)], rng)
        pictures = to_tensor(np.concatenate([glyphs, scenes[rows]]))
        contrast, attributes = task(pictures, plan.pairs, things[rows], textures[rows])
        loss = contrast + 0.5 * attributes
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        if on_progress is not None:
            on_progress(step + 1, plan.steps, loss.item())
    tower = task.tower.eval()
    _standardise(tower, colour(masks[:, 0][:: max(1, plan.classes // 2000)], rng))
    return tower


def _learning_rate(plan: TowerPlan, step: int) -> float:
    """A hundred steps of warm-up, on half a cosine from the peak to 2 % of it."""
    share = step / plan.steps
    return plan.lr * min(1, (step + 1) / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))


def glyph_masks(classes: range, instances: int, workers: int = 2) -> Pixels:
    """As :func:`otter.nano.glyphs.writings`, by several processes."""
    blocks = [classes[i : i + 50] for i in range(0, len(classes), 50)]
    if workers < 2 or len(blocks) < 4:
        return writings(classes, instances)
    with ProcessPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(writings, blocks, [instances] * len(blocks))))


def to_tensor(pictures: Pixels) -> Tensor:
    """Pictures as the processor gives them to the tower.

    uint8[pictures, height, width, 3] to float[pictures, 3, height, width].
    """
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    return pixels.div_(255).sub_(MEAN).div_(SCALE)


@torch.no_grad()
def pooled(tower: StemVisionModel, pictures: Pixels, batch: int = 256) -> Tensor:
    """The mean over patches of the tower's features, float[pictures, dim]."""
    parts = [
        tower(to_tensor(pictures[i : i + batch])).last_hidden_state.mean(1)
        for i in range(0, len(pictures), batch)
    ]
    return torch.cat(parts)


def nearest_neighbour(
    features: Tensor, classes: NDArray[np.int64], episodes: int = 2000, ways: int = 2, seed: int = 0
) -> float:
    """How often the example of the right class is the nearest by cosine.

    There is one example of each of ``ways`` classes. It is what the features alone allow: a
    language model that reads them can hardly do better.

    Args:
        features: float[pictures, dim].
        classes: int[pictures], the class of each.
        episodes: how many are drawn.
        ways: classes of an episode.
        seed: of the episodes.
    """
    rng = np.random.default_rng(seed)
    unit = functional.normalize(features - features.mean(0), dim=-1).numpy()
    members = [np.nonzero(classes == c)[0] for c in np.unique(classes)]
    right = 0
    for _ in range(episodes):
        first, *others = rng.choice(len(members), ways, replace=False)
        example, query = rng.choice(members[first], 2, replace=False)
        shown = [example, *(rng.choice(members[o]) for o in others)]
        right += int((unit[shown] @ unit[query]).argmax() == 0)
    return right / episodes


def save_tower(tower: StemVisionModel, folder: Path) -> None:
    """Write the tower as an ordinary checkpoint folder."""
    tower.save_pretrained(folder)


@torch.no_grad()
def _standardise(tower: StemVisionModel, pictures: Pixels) -> None:
    """Fold a fixed centring and scaling of the pooled features into the last norm.

    Without it the mean of all pictures drowns what tells them apart, and in-context binding does
    not emerge.
    """
    features = pooled(tower, pictures)
    mean, deviation = features.mean(0), features.std(0)
    tower.norm.bias.sub_(mean).div_(deviation)
    tower.norm.weight.div_(deviation)


def _scenes(count: int, rng: np.random.Generator) -> tuple[Pixels, Tensor, Tensor]:
    """Scenes, uint8[count, height, width, 3], the labels of their things, and of their grounds."""
    pictures, things, textures = [], [], []
    for _ in range(count):
        scene = random_scene(rng)
        pictures.append(draw(scene, rng))
        things.append(_labels(scene))
        textures.append(TEXTURES.index(scene.texture))
    return np.stack(pictures), torch.tensor(np.stack(things)), torch.tensor(textures)


def _labels(scene: Scene) -> NDArray[np.int64]:
    """For each place the index of shape, colour and size, int[places, 3].

    Where nothing is, shape and colour are one past the last, and the size is -1, which no loss
    counts.
    """
    labels = np.tile(np.asarray([len(SHAPES), len(COLOURS), -1]), (len(PLACES), 1))
    for thing in scene.things:
        labels[thing.place] = [
            SHAPES.index(thing.shape),
            list(COLOURS).index(thing.colour),
            list(SIZES).index(thing.size),
        ]
    return labels
