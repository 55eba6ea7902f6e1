// Draws the curves and moves the timeline; all other parts of the page stand without it.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const HEIGHT = 230;
const charts = new Map(); // panel element -> uPlot
let view = data.range; // the steps that are shown
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const short = (x) => (x === null || x === undefined ? "–" : String(Number(x.toPrecision(4))));

function color(panel, series, i) {
  if (series.depth !== undefined) return `hsl(${Math.round(260 - 200 * series.depth)} 65% ${css("--light")})`;
  if (series.run !== undefined) return css(`--c${series.run % 8}`);
  if (series.bold) return css({ bottom: "--c0", top: "--c6" }[series.label.split("/").pop()] || "--text");
  return css(`--c${i % 8}`);
}

// All charts span the same steps, so that they can be compared and zoomed together.
function table(panel, log) {
  const parts = panel.series.map((s) => [
    data.steps[s.steps],
    log ? s.values.map((v) => (v > 0 ? v : null)) : s.values,
  ]);
  return uPlot.join([...parts, [data.range, [null, null]]]).slice(0, -1);
}

// Findings that overlap shade no darker than one of them.
function shade(u) {
  for (const severity of ["info", "warning", "problem"]) {
    u.ctx.save();
    u.ctx.beginPath();
    for (const finding of data.findings.filter((f) => f.severity === severity)) {
      const from = u.valToPos(finding.from, "x", true);
      const to = u.valToPos(finding.to ?? data.range[1], "x", true);
      const left = Math.max(from, u.bbox.left);
      const width = Math.min(to, u.bbox.left + u.bbox.width) - left;
      if (width >= 0) u.ctx.rect(left, u.bbox.top, Math.max(width, 2), u.bbox.height);
    }
    u.ctx.fillStyle = css(`--${severity}`);
    u.ctx.globalAlpha = 0.1;
    u.ctx.fill();
    u.ctx.restore();
  }
}

function mark(u, marks) {
  for (const [step, value] of marks) {
    const x = u.valToPos(step, "x", true);
    const y = u.valToPos(value, "y", true);
    if (x < u.bbox.left - 1 || x > u.bbox.left + u.bbox.width + 1) continue;
    u.ctx.save();
    u.ctx.fillStyle = css("--star");
    u.ctx.font = `${18 * devicePixelRatio}px sans-serif`;
    u.ctx.textAlign = "center";
    u.ctx.textBaseline = "middle";
    u.ctx.fillText("★", x, y);
    u.ctx.restore();
  }
}

function zoom(min, max) {
  view = [min, max];
  for (const u of charts.values()) {
    if (u.scales.x.min !== min || u.scales.x.max !== max) u.setScale("x", { min, max });
  }
  document.getElementById("whole").hidden = min <= data.range[0] && max >= data.range[1];
}

// One finger reads, two zoom; up and down scrolls the page.
function touch(u) {
  const at = (t) => (t.clientX - u.over.getBoundingClientRect().left) / u.over.clientWidth;
  let held = null;
  const read = (e) => u.setCursor({ left: at(e.touches[0]) * u.over.clientWidth, top: u.over.clientHeight / 2 });
  u.over.addEventListener("touchstart", (e) => {
    held = e.touches.length === 2 ? [...e.touches].map((t) => u.posToVal(at(t) * u.over.clientWidth, "x")) : null;
    if (!held) read(e);
  }, { passive: true });
  u.over.addEventListener("touchmove", (e) => {
    if (!held || e.touches.length !== 2) return read(e);
    const [a, b] = [...e.touches].map(at);
    const span = (held[1] - held[0]) / (b - a);
    if (!(span > 0)) return;
    const min = Math.max(data.range[0], held[0] - a * span);
    const max = Math.min(data.range[1], held[0] - a * span + span);
    if (max > min) zoom(min, max);
  }, { passive: true });
}

function options(panel, width, log) {
  const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 } };
  const few = panel.series.every((s) => s.values.length < 60);
  return {
    width,
    height: HEIGHT,
    scales: {
      x: { time: false },
      y: panel.limits ? { range: panel.limits } : { distr: log ? 3 : 1 },
    },
    axes: [
      { ...axis, size: 34, values: (u, ticks) => ticks.map((t) => t.toLocaleString("en")) },
      { ...axis, size: 62, values: (u, ticks) => ticks.map((t) => (t === null ? "" : short(t))) },
    ],
    cursor: {
      sync: { key: "steps", setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
      drag: { x: true, y: false },
      points: { size: 6 },
    },
    legend: { live: true },
    series: [
      { label: "step", value: (u, v) => (v === null ? "–" : v.toLocaleString("en")) },
      ...panel.series.map((s, i) => ({
        label: s.label,
        stroke: color(panel, s, i),
        width: s.bold ? 2.5 : 1.25,
        spanGaps: false,
        points: { show: few, size: 5 },
        value: (u, v) => short(v),
      })),
    ],
    hooks: {
      drawClear: [shade],
      draw: [(u) => mark(u, panel.marks)],
      setScale: [(u, key) => key === "x" && [...charts.values()].includes(u) && zoom(u.scales.x.min, u.scales.x.max)],
      ready: [touch],
    },
  };
}

function draw(place, panel, log) {
  charts.get(place)?.destroy();
  charts.delete(place);
  const box = place.querySelector(".chart");
  const u = new uPlot(options(panel, box.clientWidth, log), table(panel, log), box);
  charts.set(place, u);
  u.setScale("x", { min: view[0], max: view[1] });
}

function build() {
  const root = document.getElementById("panels");
  if (!root) return;
  const redraws = [];
  const sizes = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const u = charts.get(target.parentElement);
      if (u && contentRect.width > 0 && u.width !== contentRect.width) {
        u.setSize({ width: contentRect.width, height: HEIGHT });
      }
    }
  });
  for (const panel of data.panels) {
    const place = Object.assign(document.createElement("div"), { className: "panel" });
    const head = document.createElement("header");
    const toggle = Object.assign(document.createElement("button"), { textContent: "log", type: "button" });
    let log = panel.log && panel.series.some((s) => s.values.some((v) => v > 0));
    head.append(Object.assign(document.createElement("h3"), { textContent: panel.title }));
    if (!panel.limits) head.append(toggle);
    place.append(head, Object.assign(document.createElement("div"), { className: "chart" }));
    root.append(place);
    const redraw = () => {
      toggle.setAttribute("aria-pressed", log);
      draw(place, panel, log);
    };
    toggle.addEventListener("click", () => {
      log = !log;
      redraw();
    });
    redraw();
    redraws.push(redraw);
    sizes.observe(place.querySelector(".chart"));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((f) => f()));
  document.getElementById("whole").addEventListener("click", () => zoom(...data.range));
}

function timeline(box) {
  const slider = box.querySelector("input");
  const frames = box.querySelectorAll("img");
  slider.addEventListener("input", () => {
    frames.forEach((frame, i) => (frame.hidden = i !== Number(slider.value)));
    box.querySelector("output").textContent = `step ${Number(frames[slider.value].dataset.step).toLocaleString("en")}`;
  });
}

for (const swatch of document.querySelectorAll(".swatch")) {
  swatch.style.background = `var(--c${swatch.dataset.run % 8})`;
}
document.querySelectorAll(".timeline").forEach(timeline);
build();
