"""The report on the correction that follows what moves, and the picture of all methods: fidelity against way.

The picture for the docs: `python -m benchmarks.motion_report FOLDER PICTURE.svg`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lib_noiserect.evaluation.report import Part, axes_of, facts, mark, picture, plots, several, svg_of
from lib_noiserect.evaluation.tables import (
    BY_NAME,
    Estimate,
    Line,
    Measure,
    Samples,
    Table,
    by_image,
    difference,
    in_common,
    markdown_table,
    number,
)
from lib_noiserect.evaluation.trials import Results

from .clips import KINDS
from .motion import EXPERIMENTS, NOISING, OURS, PAPER, STRENGTHS, TIMES, WHOLE, Trial, starts

Found: TypeAlias = "Mapping[Trial, Mapping[str, Any]]"
_MOVING, _LEFT, _CREATURE, _WAY, _SSIM = (
    BY_NAME[name] for name in ("moving_psnr", "left_psnr", "creature_psnr", "way", "ssim")
)
_VIDEO = tuple(
    BY_NAME[name] for name in ("moving_psnr", "left_psnr", "creature_psnr", "way", "ghost", "ssim") if name in BY_NAME
)
_CLIP = (Measure("clip_psnr", "Whole frame, dB", 1, 2), Measure("changed_psnr", "Changed area, dB", 1, 2))
_MATCHES = (
    Measure("off_moving", "Off where it moves", -1, 2),
    Measure("near", "Within one pixel", 1, 2),
    Measure("off_still", "Off where it is still", -1, 2),
    Measure("moved", "Motion", 0, 2),
)
_RESAMPLES, _RANK_RESAMPLES, _SEED, _CONFIDENCE = 4999, 999, 20260302, 0.95
_COLORS = dict(
    zip(
        (NOISING, "image-to-video, 1, 32", "image-to-video, 1, 128", "image-to-video, 2, 256"),
        ("#8b93a1", "#d9822b", "#b8860b", "#a0522d"),
    )
) | {"noise turned to the image": "#8e5bd0", "low frequencies": "#2e9e6b", PAPER: "#2b8fd6", OURS: "#d6336c"}


def parts(results: Results) -> list[Part]:
    """A part for each experiment that has results."""
    found = results.of(Trial)
    by_name = {name: {trial: one for trial, one in found.items() if trial.experiment == name} for name in EXPERIMENTS}
    make = dict(zip(EXPERIMENTS, (_follow, _peers, _other_clips, _correspondence)))
    made = [make[name](some) for name, some in by_name.items() if some]
    made += _ghosts(found) if found else []
    goals = _goals(by_name) if made else []
    return [Part("goals", "What following the motion reaches", [markdown_table(_GOALS, goals)]), *made] if goals else made


def samples_of(found: Found, **wanted: Any) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """The figures of the trials whose fields are as `wanted`, by their image and sampler, steps and strength.

    Without a case among the wanted fields the case stands behind them, and videos of two experiments count once.
    """
    with_case = "case" not in wanted
    return {
        (f"{trial.picture:03d}", trial.sampler, f"{trial.steps}", f"{trial.strength:g}", *([trial.case] * with_case)): values
        for trial, values in found.items()
        if all(getattr(trial, name) == value for name, value in wanted.items())
    }


def _facts(found: Found) -> str:
    return facts(
        ("Images", str(len({trial.picture for trial in found}))),
        ("Videos", str(len(found))),
        ("Samplers", ", ".join(sorted({trial.sampler for trial in found}))),
        ("Steps", several(trial.steps for trial in found)),
    )


def way_kept(here: Samples, there: Samples) -> Estimate | None:
    """The mean way of some videos by that of others of the same images, with its bootstrap interval."""
    ways = by_image("way", here, there)
    if not len(ways):
        return None
    drawn = ways[_resampled(len(ways))].mean(1)
    return _estimate(ways[:, 0].mean() / ways[:, 1].mean(), drawn[:, 0] / drawn[:, 1], len(ways))


def _resampled(count: int) -> NDArray[np.intp]:
    return np.random.default_rng(_SEED).integers(0, count, (_RESAMPLES, count))


def _estimate(value: float, drawn: NDArray[Any], count: int) -> Estimate:
    """The percentiles of what was drawn around a value; none for a single image."""
    drawn = drawn[np.isfinite(drawn)]
    if count < 2 or not drawn.size:
        return Estimate(float(value), math.nan, math.nan, count)
    ends = np.quantile(drawn, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Estimate(float(value), float(ends[0]), float(ends[1]), count)


def _follow(found: Found) -> Part:
    lines = []
    for sampler, steps in sorted({(trial.sampler, trial.steps) for trial in found}):
        for suffix in ("", WHOLE):
            paper, ours = (samples_of(found, sampler=sampler, steps=steps, case=f"{case}{suffix}") for case in (PAPER, OURS))
            group = f"{sampler}, {steps} steps"
            plain = {} if suffix else samples_of(found, sampler=sampler, steps=steps, case=NOISING)
            lines += [Line.of((group, NOISING), plain, _VIDEO, paper, more=("", _count(plain)))] if plain else []
            lines += [Line.of((group, f"{PAPER}{suffix}"), paper, _VIDEO, more=("", _count(paper)))] if paper else []
            kept = way_kept(ours, paper)
            more = (kept.text(2) if kept else "–", _count(ours))
            lines += [Line.of((group, f"{OURS}{suffix}"), ours, _VIDEO, paper, more=more)] if ours else []
    measures = tuple(measure for measure in _VIDEO if any(measure.name in line.means for line in lines))
    table = Table(
        "follow", ("Sampler", "Setting"), lines, measures, ("Way kept", "Images"), "the paper's rule, same settings"
    )
    return Part(
        "follow", "Following the motion instead of the paper's rule", [_facts(found), _SAID["follow"], table.markdown]
    )


def _count(samples: Samples) -> str:
    return str(len({key[0] for key in samples}))


Curve: TypeAlias = "dict[str, Mapping[str, tuple[float, float]]]"
"""Settings, and for each the way and the PSNR of its images."""


def _points(samples: Samples) -> dict[str, tuple[float, float]]:
    return {image: tuple(np.mean(pairs, axis=0)) for image, pairs in _pairs(samples, "way", "moving_psnr").items()}


def _pairs(samples: Samples, one: str, other: str) -> dict[str, list[tuple[float, ...]]]:
    """Two figures of each video that has both, by its image."""
    ones, others, pairs = in_common(one, samples), in_common(other, samples), dict[str, list[tuple[float, ...]]]()
    for key in ones.keys() & others.keys():
        pairs.setdefault(key[0], []).append((*ones[key], *others[key]))
    return dict(sorted(pairs.items()))


def at_equal_way(
    curve: Sequence[Mapping[str, tuple[float, float]]], peer: Mapping[str, tuple[float, float]]
) -> Estimate | None:
    """How much more PSNR a curve has than a peer, where its mean way is the peer's; None outside of the curve's ways.

    The curve joins the means of its settings by straight lines, in the order of their ways. The interval is the bootstrap's
    over images, which are the same for the curve and the peer.
    """
    common = sorted(set(peer).intersection(*curve))
    if not common or not curve:
        return None
    drawn = np.vstack([np.arange(len(common)), _resampled(len(common))])
    points = np.array([[some[image] for image in common] for some in (*curve, peer)])  # [S + 1, images, 2]
    means = points[:, drawn].mean(2)  # [S + 1, resamples + 1, 2]
    order = np.argsort(means[:-1, :, 0], axis=0)
    ways, psnrs = (np.take_along_axis(means[:-1, :, axis], order, 0) for axis in (0, 1))
    way, psnr = means[-1].T
    ours = np.full(len(drawn), np.nan)
    for left, right, below, above in zip(ways[:-1], ways[1:], psnrs[:-1], psnrs[1:]):
        between = (left <= way) & (way <= right)
        share = (way - left) / np.maximum(right - left, 1e-12)
        ours = np.where(between, below + share * (above - below), ours)
    gains = ours - psnr
    return _estimate(gains[0], gains[1:], len(common)) if np.isfinite(gains[0]) else None


def _curve(found: Found) -> list[dict[str, tuple[float, float]]]:
    cases = [(OURS, strength) for strength in STRENGTHS] + [(f"{OURS}{WHOLE}", 1.0)]
    points = (_points(samples_of(found, case=case, strength=strength)) for case, strength in cases)
    return [some for some in points if some]


def _peers(found: Found) -> Part:
    lines, curve = [], _curve(found)
    for case in starts():
        for strength in STRENGTHS:
            if some := samples_of(found, case=case, strength=strength):
                gain = None if OURS in case else at_equal_way(curve, _points(some))
                more = (gain.text(2, signed=True) if gain else "–",)
                lines.append(Line.of((case, f"{strength:g}"), some, _VIDEO, more=more))
    measures = tuple(measure for measure in _VIDEO if any(measure.name in line.means for line in lines))
    table = Table("peers", ("Method", "Strength"), lines, measures, ("Following, at this way, dB",))
    plot = picture(peers_plot(found), "svg+xml", "PSNR in the moving area against the way that videos go, for each method")
    blocks = [_facts(found), _SAID["peers"], plots([plot]), table.markdown]
    return Part("peers", "Other methods: fidelity against way", blocks)


def peers_plot(found: Found, **options: Any) -> bytes:
    """All methods as SVG: PSNR in the moving area against the way, a line through the strengths of each."""
    with axes_of(4.6) as axes:
        for case, color in _COLORS.items():
            some = [samples_of(found, case=case, strength=strength) for strength in STRENGTHS]
            some += [samples_of(found, case=f"{case}{WHOLE}")] if case in (PAPER, OURS) else []
            points = [Line.of((case,), each, (_WAY, _MOVING)).means for each in some if each]
            means = [(point["way"], point["moving_psnr"]) for point in points]
            for index, (way, psnr) in enumerate(means):
                mark(axes, color, way, psnr, None if index else case)
            strengths = means[: len(STRENGTHS)]
            axes.plot([way.mean for way, _ in strengths], [psnr.mean for _, psnr in strengths], color=color, linewidth=1.0)
        axes.set_xlabel("Way that the video goes (1: the world's own)")
        axes.set_ylabel("PSNR in the moving area, dB")
        axes.grid()
        axes.legend(fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return svg_of(axes, **options)


def _other_clips(found: Found) -> Part:
    lines = []
    for kind in KINDS:
        paper, ours = (samples_of(found, case=f"{kind}: {case}") for case in (PAPER, OURS))
        lines += [Line.of((kind, PAPER), paper, _CLIP)] if paper else []
        lines += [Line.of((kind, OURS), ours, _CLIP, paper)] if ours else []
    table = Table("other-clips", ("Videos", "Setting"), lines, _CLIP, baseline="the paper's rule on the same videos")
    blocks = [_facts(found), _SAID["other-clips"], table.markdown]
    return Part("other-clips", "Videos of other kinds, denoised again", blocks)


def _correspondence(found: Found) -> Part:
    lines = []
    for kind in KINDS:
        for time in TIMES:
            if some := samples_of(found, case=f"{kind}: {OURS}", strength=time):
                lines.append(Line.of((kind, f"t/T = {time:g}"), some, _MATCHES))
    table = Table("correspondence", ("Videos", "Noise level"), lines, _MATCHES)
    blocks = [facts(("Videos of each kind", str(len({t.picture for t in found})))), _SAID["correspondence"], table.markdown]
    return Part("correspondence", "The correspondence alone", blocks)


def _ghosts(found: Found) -> list[Part]:
    """How well the ghost measure, which knows no truth, orders videos as the truth does."""
    videos = {trial: one for trial, one in found.items() if trial.experiment in ("follow", "peers")}
    rectified = {trial: one for trial, one in videos.items() if PAPER in trial.case or OURS in trial.case}
    rows = []
    for name, some in (("all", videos), ("rectified", rectified)):
        if rank := rank_correlation(samples_of(some), "ghost", "left_psnr"):
            rows.append([name, rank.text(2, signed=True), str(len(samples_of(some))), str(rank.count)])
    table = markdown_table(("Videos", "Rank correlation", "Number", "Images"), rows)
    return [Part("ghosts", "The ghost measure against the truth", [_SAID["ghosts"], table])] if rows else []


def rank_correlation(samples: Samples, one: str, other: str) -> Estimate | None:
    """Spearman's, of two measures over videos, with the bootstrap interval over images; None for fewer than three videos."""
    images = [np.array(some) for some in _pairs(samples, one, other).values()]
    if sum(map(len, images)) < 3:
        return None

    def spearman(some: Sequence[NDArray[Any]]) -> float:
        ranks = rankdata(np.concatenate(some), axis=0)
        return float(np.corrcoef(ranks.T)[0, 1]) if np.ptp(ranks, axis=0).all() else math.nan

    drawn = [spearman([images[index] for index in row]) for row in _resampled(len(images))[:_RANK_RESAMPLES]]
    return _estimate(spearman(images), np.array(drawn), len(images))


_GOALS = ("What", "Goal", "Measured", "Reached")


def _goals(by_name: Mapping[str, Found]) -> list[list[str]]:
    """The goals with what was measured."""
    follow, rows = by_name["follow"], list[list[str]]()
    for sampler, steps in sorted({(trial.sampler, trial.steps) for trial in follow}):
        for suffix, least in (("", 1.0), (WHOLE, 2.0)):
            paper, ours = (samples_of(follow, sampler=sampler, steps=steps, case=f"{case}{suffix}") for case in (PAPER, OURS))
            name = f"{sampler}, {steps} steps{suffix}"
            rows += _gain_row(f"Moving area, {name}", difference(ours, paper, "moving_psnr"), least)
            if not suffix:
                rows += _gain_row(f"Left places, {name}", difference(ours, paper, "left_psnr"), 1.5)
                if kept := way_kept(ours, paper):
                    rows.append([f"Way, {name}", "at least 0.95 of the rule's", kept.text(2), _yes(kept.mean >= 0.95)])
    peers = by_name["peers"]
    curve = _curve(peers)
    for case in starts():
        for strength in STRENGTHS:
            some = samples_of(peers, case=case, strength=strength)
            if OURS not in case and some:
                gain = at_equal_way(curve, _points(some))
                shown = f"{gain.text(2, signed=True)} dB" if gain else "goes another way than any of ours"
                rows.append(
                    [f"{case}, strength {strength:g}, at equal way", "above 0 dB", shown, _yes(gain.low > 0) if gain else "–"]
                )
    for kind in KINDS:
        paper, ours = (samples_of(by_name["other-clips"], case=f"{kind}: {case}") for case in (PAPER, OURS))
        if gain := difference(ours, paper, "clip_psnr"):
            rows.append([f"Videos: {kind}", "not below −0.1 dB", f"{gain.text(2, signed=True)} dB", _yes(gain.mean >= -0.1)])
    return rows


def _gain_row(name: str, gain: Estimate | None, least: float) -> list[list[str]]:
    if gain is None:
        return []
    goal = f"at least +{number(least, 1)} dB, interval above 0"
    return [[name, goal, f"{gain.text(2, signed=True)} dB", _yes(gain.mean >= least and gain.low > 0)]]


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"


_SAID = {
    "follow": "The correction follows what moves instead of staying in place: same image, noise, sampler and settings. "
    "PSNR is to the world's own frames at the times that fit best. A video that is slowed down gains in fidelity too, so the "
    "way that is kept stands beside it.",
    "peers": "DDIM, the same images and noise for all. Noising and image-to-video (AnimateDiff: latent power and scale) "
    "leave out the first steps at low denoising strength. Noise that is turned to the image and low frequencies (FrameInit) "
    "take all steps, and their strength is how little of the image is in the start. The last column: how much more PSNR in "
    "the moving area the following correction has at the same mean way, between its own strengths and ω = 1, τ = [0, 1].",
    "other-clips": "True videos that the model does not make by itself are noised to 0.6 of the steps and denoised, while "
    "they are rectified towards their first frame. PSNR is to the true video, of the frames after the first: of all pixels, "
    "and of those that differ from the first frame.",
    "correspondence": "True videos are noised, and the model predicts them in one call. Distances in latent pixels between "
    "the displacement that is found in this prediction and the true one: where things moved by one latent pixel or more, "
    "and where nothing moved. At t/T = 0 the video's own latents are searched. Motion is how far things have moved.",
    "ghosts": "Ghosts are found by the optical flow alone, so they can be measured on any model and image. Here they are "
    "compared with PSNR at the left places, which knows the truth: Spearman's rank correlation over videos, with its "
    "bootstrap interval over images. The nearer to −1, the better. A wrong ground lowers PSNR too, and is no ghost; so the "
    "measure agrees better among rectified videos, where the ground is the image's.",
}


def main(folder: Path, path: Path) -> None:
    """Write the picture of all methods, on white."""
    from .families import results_in

    found = results_in(folder).of(Trial)
    peers = {trial: values for trial, values in found.items() if trial.experiment == "peers"}
    path.write_bytes(peers_plot(peers, facecolor="white"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
