"""Tables of scores and configurations, for one run or for several side by side."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from jaxgan.config.config import KEYS, Config
from jaxgan.metrics.scores import Protocol, Score
from jaxgan.monitor.directions import merit
from jaxgan.reporting.markup import element, fold, join, note, table
from jaxgan.reporting.run_record import Run
from jaxgan.runs.score_log import better

ABSENT = "–"


def scores(runs: Sequence[Run]) -> Markup | None:
    """Lists every score with its protocol. Scores of different protocols get separate lines and are not compared."""
    groups: dict[tuple[str, Protocol], list[list[Score]]] = {}
    for i, run in enumerate(runs):
        for score in run.scores:
            key = score.name, dataclasses.replace(score.protocol, step=None, checkpoint="")
            groups.setdefault(key, [[] for _ in runs])[i].append(score)
    if not groups:
        return None
    protocols = list(dict.fromkeys(_common(protocol) for _, protocol in groups))
    rows = []
    for (name, protocol), found in sorted(groups.items(), key=lambda item: item[0][0]):
        way = next(score.better for of_run in found for score in of_run)
        cells = _one(found[0]) if len(runs) == 1 else _beside(found, way)
        number = protocols.index(_common(protocol)) + 1
        link = join([element("a", f"[{number}]", href="#protocols"), f" {protocol.details}"])
        rows.append([name, *cells, way, link])
    head = ["last", "95 % interval", "best"] if len(runs) == 1 else [run.name for run in runs]
    lines = [element("li", str(protocol)) for protocol in protocols]
    return join(
        [
            table(["score", *head, "better", "protocol"], rows, class_="numbers"),
            *_unlike(list(groups)),
            element("h3", "Protocols", id="protocols"),
            element("ol", *lines, class_="protocols"),
        ]
    )


def _common(protocol: Protocol) -> Protocol:
    """The protocol without the details that differ from score to score."""
    return dataclasses.replace(protocol, details="")


def _step(score: Score) -> str:
    """The step or checkpoint that a score was measured at, in brackets."""
    p = score.protocol
    return f" (step {p.step:,})" if p.step is not None else f" ({p.checkpoint})" if p.checkpoint else ""


def _best(found: Sequence[Score]) -> Score:
    top = found[0]
    for score in found[1:]:
        if better(score.value, top.value, top.better):
            top = score
    return top


def _one(found: Sequence[Score]) -> list[Any]:
    # The best first, then the last; an evaluation after training may be of an earlier step than those during it.
    last = max(reversed(found), key=lambda score: score.protocol.step or 0)
    known = next((s.interval for s in reversed(found) if s.interval and s.value == last.value), None)
    interval = f"{known[0]:.5g} to {known[1]:.5g}" if known else ABSENT
    top = _best(found)
    return [f"{last.value:.5g}{_step(last)}", interval, f"{top.value:.5g}{_step(top)}"]


def _beside(found: Sequence[Sequence[Score]], way: str) -> list[Any]:
    """The best score of each run; the best of all is bold."""
    tops = [_best(of_run) if of_run else None for of_run in found]
    merits = [merit(top.value, way) for top in tops if top]
    extreme = max(merits) if len(merits) > 1 else math.nan
    return [
        ABSENT
        if top is None
        else join([element("strong" if merit(top.value, way) == extreme else "span", f"{top.value:.5g}"), _step(top)])
        for top in tops
    ]


def _unlike(groups: Sequence[tuple[str, Protocol]]) -> list[Markup]:
    """Says, for each score measured by several protocols, how the protocols differ."""
    said = []
    for name in sorted({name for name, _ in groups}):
        alike = [protocol for other, protocol in groups if other == name]
        differences = sorted({line for p in alike[1:] for line in alike[0].differences(p)})
        if differences:
            told = f"The lines of {name} are not comparable: they differ in {', '.join(differences)}."
            said.append(note(element("b", "Unlike protocols. "), told))
    return said


def flat(config: Config) -> dict[str, Any]:
    """Maps every key, `section.name`, to its value."""
    values = config.to_dict()
    keys = (key.split(".") for key in KEYS)
    return {".".join(key): values[key[0]][key[1]] if len(key) == 2 else values[key[0]] for key in keys}


def config(run: Run) -> Markup:
    """Lists the keys that differ from their defaults, and all keys in a fold."""
    ours, usual = flat(run.config), flat(Config())
    changed = [[key, repr(value), repr(usual[key])] for key, value in ours.items() if value != usual[key]]
    whole = fold(f"All {len(ours)} keys", table(["key", "value"], [[key, repr(value)] for key, value in ours.items()]))
    first = table(["key", "value", "default"], changed) if changed else note("All keys have their defaults.")
    return join([first, whole])


def differing(runs: Sequence[Run]) -> Markup:
    """Lists the keys in which the configurations differ, and how the data differ."""
    configs = [flat(run.config) for run in runs]
    rows = [[key, *(repr(c[key]) for c in configs)] for key in KEYS if any(c[key] != configs[0][key] for c in configs)]
    for key in ("source", "shape", "num_examples", "crc32"):
        values = [run.example.get(key) for run in runs]
        if any(value != values[0] for value in values):
            rows.append([f"data: {key}", *map(repr, values)])
    if not rows:
        return note("The configurations are the same.")
    return table(["key", *(run.name for run in runs)], rows)


def parameters(nets: Mapping[str, Sequence[tuple[str, tuple[int, ...]]]]) -> Markup:
    """Counts the parameters of each network; a fold lists its arrays."""
    parts = []
    for net, arrays in nets.items():
        total = sum(math.prod(shape) for _, shape in arrays)
        rows = [[path, " x ".join(map(str, shape)) or "1", f"{math.prod(shape):,}"] for path, shape in arrays]
        parts.append(
            fold(f"{net}: {total:,} parameters in {len(arrays)} arrays", table(["array", "shape", "number"], rows))
        )
    return join(parts)


def versions(run: Run) -> Markup:
    """Lists versions and machine of the last training."""
    plain = {k: v for k, v in run.environment.items() if not isinstance(v, Mapping)}
    return table(["", ""], list({**plain, **run.environment.get("versions", {})}.items()))
