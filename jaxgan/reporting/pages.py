"""Puts the page together from its parts, its style and its script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any, TypeVar

from markupsafe import Markup

import jaxgan
from jaxgan.monitor.doctor import Finding, span, words
from jaxgan.monitor.preflight import Remark
from jaxgan.reporting import pictures, plots, tables
from jaxgan.reporting.markup import element, fold, join, note, section
from jaxgan.reporting.run_record import Run, Verdict, verdict
from jaxgan.sampling.sampler import Sampler

Noted = TypeVar("Noted", Finding, Remark)
SEVERITIES = ("problem", "warning", "info")
LABELS = {"problem": "problem", "warning": "warning", "info": "note", "good": "no problem"}
HOW_TO = (
    "Drag over a curve to zoom into it, all follow; double-click to see the whole. On a touch screen use two fingers."
)


def one_run(run: Run, sampler: Sampler | None, why_not: str = "") -> str:
    """Builds the page of one run.

    Args:
      run: the run's record.
      sampler: draws from one of the run's checkpoints; None where there is none.
      why_not: a sentence that says why there is no sampler.
    """
    data = plots.single(run)
    interpolations, neighbors = pictures.from_sampler(run, sampler) if sampler else (None, None)
    missing = None if sampler or not why_not else note(why_not)
    parts = [
        section("Findings", *map(_finding, _by_severity(run.findings))) if run.findings else None,
        section("Before the first step", *map(_remark, _by_severity(run.remarks))),
        section("Scores", tables.scores([run])),
        section("Samples", pictures.timeline(run) or note("There are no pictures of samples.")),
        section("Curves", _panels(data)),
        section("Over time", pictures.over_time(run)),
        section("Codes", pictures.codes(run)),
        section("Interpolations", interpolations or missing),
        section("Nearest training images", neighbors),
        section("Configuration", tables.config(run)),
        section("Parameters", tables.parameters(pictures.parameters(sampler)) if sampler else missing),
        section("Versions", tables.versions(run)),
    ]
    head = _verdict(verdict(run))
    parts.insert(0, _damage(run.damage))  # last, when all files were read
    about = f"{run.config.model.architecture}, {run.config.loss.name}, on {run.example['num_examples']:,} examples of "
    about += f"{run.example['source']}, {' x '.join(map(str, run.example['shape']))}"
    if sampler:
        about += f"; the pictures below the curves are of step {sampler.step:,}"
    return _page(run.name, about, head, parts, data)


def several_runs(runs: Sequence[Run]) -> str:
    """Builds the page that compares several runs."""
    data = plots.several(runs)
    heads = [_head(i, run) for i, run in enumerate(runs)]
    latest = [(run, list(pictures.sample_files(run.workdir).items())[-1:]) for run in runs]
    shown = [
        pictures.figure(picture, f"{run.name}, step {step:,}", f"samples of {run.name}")
        for run, newest in latest
        for step, path in newest
        if (picture := pictures.read_picture(run, path)) is not None
    ]
    found = [section(f"Findings of {run.name}", *map(_finding, _by_severity(run.findings))) for run in runs]
    parts = [
        _damage([sentence for run in runs for sentence in run.damage]),
        section("Scores", tables.scores(runs)),
        section("Samples", element("div", *shown, class_="figures") if shown else None),
        section("Curves", _panels(data)),
        section("What differs", tables.differing(runs)),
        *found,
    ]
    return _page(
        f"{len(runs)} runs", ", ".join(run.name for run in runs), element("div", *heads, class_="verdicts"), parts, data
    )


def _damage(sentences: Sequence[str]) -> Markup | None:
    """Lists the files and lines that are damaged, without which the page is made."""
    return section(
        "Damaged records", element("ul", *(element("li", each) for each in sentences)) if sentences else None
    )


def _verdict(judged: Verdict, name: Markup | None = None) -> Markup:
    badge = element("span", LABELS[judged.severity], class_="badge")
    facts = [element("p", fact) for fact in judged.facts]
    return element(
        "div", name, element("p", badge, judged.text, class_="words"), *facts, class_=f"verdict {judged.severity}"
    )


def _head(number: int, run: Run) -> Markup:
    swatch = element("span", class_="swatch", data_run=number)
    return _verdict(verdict(run), element("h3", swatch, run.name))


def _by_severity(found: Sequence[Noted]) -> list[Noted]:
    """Sorts by severity, the worst first; findings of equal severity by step, remarks as they come."""
    return sorted(found, key=lambda each: (SEVERITIES.index(each.severity), getattr(each, "step", 0)))


def _remark(remark: Remark) -> Markup:
    badge = element("span", LABELS[remark.severity], class_="badge")
    heading = element("h3", badge, words(remark.kind).capitalize())
    return element("div", heading, element("p", remark.sentence), class_=f"finding {remark.severity}")


def _finding(finding: Finding) -> Markup:
    badge = element("span", LABELS[finding.severity], class_="badge")
    advice = [
        element("li", each.text, " ", element("span", "— ", _linked(each.source), class_="soft"))
        for each in finding.advice
    ]
    return element(
        "div",
        element("h3", badge, f"{words(finding.kind).capitalize()}, {span(finding)}"),
        element("p", finding.explanation),
        note(f"Evidence: {finding.numbers}.") if finding.evidence else None,
        fold("What the literature advises", element("ul", *advice)) if advice else None,
        class_=f"finding {finding.severity}",
    )


def _linked(text: str) -> Markup:
    """Turns the web addresses in a text into links."""
    parts = re.split(r"(https?://\S+[^\s.,;)])", text)
    return join(element("a", p, href=p, rel="noreferrer") if i % 2 else p for i, p in enumerate(parts))


def _panels(data: Mapping[str, Any]) -> Markup:
    if not data["panels"]:
        return note("No curves were recorded.")
    whole = element("button", "Show all steps", type="button", id="whole", hidden=True)
    stars = " A star marks the best of an evaluation." if any(p["marks"] for p in data["panels"]) else ""
    shades = " Shaded: findings." if data["findings"] else ""
    bar = element("div", element("span", HOW_TO + stars + shades, class_="soft"), whole, class_="bar")
    script_needed = element("noscript", note("The curves need JavaScript."))
    return join([bar, script_needed, element("div", class_="panels", id="panels")])


def _page(title: str, about: str, head: Markup, parts: Sequence[Markup | None], data: dict[str, Any]) -> str:
    there = [part for part in parts if part]
    places = [re.search(r'id="([^"]*)"><h2>(.*?)</h2>', part) for part in there]
    menu = element("nav", *(element("a", Markup(p[2]), href=Markup("#" + p[1])) for p in places if p))
    body = join(
        [
            element("header", element("h1", title), element("p", about, class_="note"), menu),
            element("main", head, *there),
            element("footer", f"Made by jaxgan {jaxgan.__version__}."),
        ]
    )
    return Template(_asset("page.html")).substitute(
        title=join([f"{title} – jaxgan"]),
        style=_asset("page.css"),
        plot_style=_asset("uPlot.min.css"),
        license=_asset("uPlot.LICENSE.txt"),
        plot_script=_asset("uPlot.iife.min.js"),
        script=_asset("page.js"),
        body=body,
        data=plots.embedded(data),
    )


def _asset(name: str) -> str:
    return resources.files("jaxgan.reporting").joinpath("assets", name).read_text(encoding="utf-8")
