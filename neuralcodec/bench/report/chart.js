// Rate-distortion curves of the chosen clip, to hover, tap or walk through with the arrow keys.

const NEAR = 48; // px from a point within which the pointer means it
let drawn = []; // {label, curve, place, x, y} of each point on the chart
let pointed = null; // the one with the tooltip

const chart = byId("chart");
const canvas = svg("svg", {
  tabindex: 0,
  role: "application",
  "aria-label":
    "Rate-distortion curves. Left and right walk along a curve, up and down change the codec, " +
    "Enter shows the point in the viewer.",
});
const tooltip = el("div", { class: "tooltip", role: "status", hidden: true });
chart.append(canvas, tooltip);

function drawChart() {
  const width = chart.clientWidth;
  const height = Math.round(Math.min(460, Math.max(300, width * 0.56)));
  const edge = { left: 52, right: 14, top: 14, bottom: 44 };
  const metric = METRICS.find(({ key }) => key === state.metric) ?? { key: "psnr_yuv" };
  const rate = RATES.find(({ key }) => key === state.rate);
  const curves = results.codecs
    .filter(({ label }) => !state.hide.includes(label))
    .map(({ label }) => ({
      label,
      points: curveOf(state.clip, label).filter((point) => point[metric.key] !== null),
    }))
    .filter(({ points }) => points.length > 0);
  const everything = results.points.filter(
    (point) => point.clip === state.clip && point[metric.key] !== null,
  );
  canvas.replaceChildren();
  canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
  canvas.setAttribute("width", width);
  canvas.setAttribute("height", height);
  drawn = [];
  point(null);
  if (everything.length === 0) {
    canvas.append(svg("text", { x: width / 2, y: height / 2, class: "empty" }, "Nothing measured"));
    return;
  }

  // The ranges are those of all codecs, so that hiding one does not move the others.
  const [low, high] = rangeOf(
    everything.map((p) => Math.log10(p[rate.key])),
    0.03,
  );
  const [bottom, top] = rangeOf(
    everything.map((p) => p[metric.key]),
    0.05,
  );
  const x = (value) =>
    edge.left + ((Math.log10(value) - low) / (high - low)) * (width - edge.left - edge.right);
  const y = (value) =>
    height - edge.bottom - ((value - bottom) / (top - bottom)) * (height - edge.top - edge.bottom);

  const axes = svg("g", { class: "axes", "aria-hidden": "true" });
  for (const tick of logTicks(10 ** low, 10 ** high, (width - 70) / 56)) {
    axes.append(
      svg("line", { x1: x(tick), x2: x(tick), y1: edge.top, y2: height - edge.bottom }),
      svg("text", { x: x(tick), y: height - edge.bottom + 17, class: "tick-x" }, tickText(tick)),
    );
  }
  const [ticks, digits] = linearTicks(bottom, top, (height - 58) / 48);
  for (const tick of ticks) {
    axes.append(
      svg("line", { x1: edge.left, x2: width - edge.right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: edge.left - 8, y: y(tick) + 4, class: "tick-y" }, grouped(tick, digits)),
    );
  }
  axes.append(
    svg(
      "text",
      { x: (edge.left + width - edge.right) / 2, y: height - 7, class: "title" },
      `${rate.axis}, logarithmic`,
    ),
    svg(
      "text",
      {
        x: -(edge.top + height - edge.bottom) / 2,
        y: 13,
        class: "title",
        transform: "rotate(-90)",
      },
      metric.name + (metric.unit && `, ${metric.unit}`),
    ),
  );
  canvas.append(axes, svg("g", { class: "cross", "aria-hidden": "true" }));

  for (const { label, points } of curves) {
    const look = lookOf(label);
    const places = points.map((p) => ({ x: x(p[rate.key]), y: y(p[metric.key]) }));
    canvas.append(
      svg(
        "g",
        { class: `curve ${look.hue}`, "data-codec": label },
        svg("path", { d: smoothPath(places), class: "line", "stroke-dasharray": look.dash }),
        places.map((place) => {
          const marker = markerOf(label, 4.5);
          marker.setAttribute("transform", `translate(${place.x},${place.y})`);
          return marker;
        }),
      ),
    );
    places.forEach((place, index) =>
      drawn.push({ label, curve: points, place: index, ...place, measured: points[index] }),
    );
  }
}

function rangeOf(values, margin) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const around = high > low ? (high - low) * margin : Math.abs(high) * 0.05 || 1;
  return [low - around, high + around];
}

function logTicks(low, high, most) {
  for (const steps of [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade += 1) {
      ticks.push(...steps.map((step) => Number((step * 10 ** decade).toPrecision(2))));
    }
    const seen = ticks.filter((tick) => tick >= low && tick <= high);
    if (seen.length <= most || steps.length === 1) return seen;
  }
  return [];
}

const tickText = (value) => value.toLocaleString("en-US", { maximumSignificantDigits: 2 });

function linearTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= rough);
  const count = Math.floor(high / step) - Math.ceil(low / step) + 1;
  const ticks = Array.from({ length: count }, (_, i) => (Math.ceil(low / step) + i) * step);
  return [ticks, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
}

// The monotone cubic through the points (PCHIP), the one that BD-rates are integrated over.
function smoothPath(places) {
  const width = places.slice(1).map((p, i) => p.x - places[i].x);
  const slope = width.map((w, i) => (places[i + 1].y - places[i].y) / w);
  const inner = slope.slice(1).map((s, i) => {
    if (s * slope[i] <= 0) return 0;
    const w1 = 2 * width[i + 1] + width[i];
    const w2 = width[i + 1] + 2 * width[i];
    return (w1 + w2) / (w1 / slope[i] + w2 / s);
  });
  const tangent = [slope[0], ...inner, slope[slope.length - 1]];
  return places
    .map((p, i) => {
      if (i === 0) return `M${p.x},${p.y}`;
      const third = width[i - 1] / 3;
      const before = places[i - 1];
      const [leave, arrive] = [before.y + third * tangent[i - 1], p.y - third * tangent[i]];
      return `C${before.x + third},${leave} ${p.x - third},${arrive} ${p.x},${p.y}`;
    })
    .join("");
}

function point(target) {
  pointed = target;
  tooltip.hidden = !target;
  const cross = canvas.querySelector(".cross");
  cross?.replaceChildren();
  canvas.classList.toggle("pointing", Boolean(target));
  for (const curve of canvas.querySelectorAll(".curve")) {
    curve.classList.toggle("pointed", curve.dataset.codec === target?.label);
  }
  for (const entry of byId("legend").children) {
    entry.classList.toggle("pointed", entry.dataset.codec === target?.label);
  }
  if (!target) return;
  const height = canvas.viewBox.baseVal.height;
  cross.append(
    svg("line", { x1: 52, x2: target.x, y1: target.y, y2: target.y }),
    svg("line", { x1: target.x, x2: target.x, y1: target.y, y2: height - 44 }),
    svg("circle", { cx: target.x, cy: target.y, r: 10, class: lookOf(target.label).hue }),
  );
  const { measured } = target;
  const rows = [
    ["Rate", bppText(measured.bpp)],
    ...(measured.kbps === null ? [] : [["", kbpsText(measured.kbps)]]),
    ...METRICS.map((metric) => [metric.name, metricText(metric, measured[metric.key])]),
    ["Encode", `${fpsText(measured.encode_fps.median)} fps`],
    ["Decode", `${fpsText(measured.decode_fps.median)} fps`],
  ];
  tooltip.replaceChildren(
    el("p", { class: "tooltip-title" }, swatch(target.label), codecName(target.label)),
    el(
      "dl",
      {},
      rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    ),
    el("p", { class: "code" }, measured.parameters),
  );
  placeTooltip(target, height);
}

// Beside the point and inside the chart; where that is too narrow, below it.
function placeTooltip({ x, y }, height) {
  const [w, h] = [tooltip.offsetWidth, tooltip.offsetHeight];
  const space = canvas.viewBox.baseVal.width;
  const left = x + 18 + w <= space ? x + 18 : x - 18 - w;
  const top = left < 0 ? height : Math.max(0, Math.min(y - h / 2, height - h));
  tooltip.style.left = `${Math.max(0, left)}px`;
  tooltip.style.top = `${top}px`;
}

function nearestDrawn(event) {
  const box = canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const distance = (target) => Math.hypot(target.x - x, target.y - y);
  const near = drawn.filter((target) => distance(target) < NEAR);
  return near.sort((p, q) => distance(p) - distance(q))[0] ?? null;
}

function showInViewer({ label, place }) {
  const b = state.b === label ? (state.a === label ? SOURCE : state.a) : state.b;
  change({ a: label, b, point: place + 1 });
}

canvas.addEventListener("pointermove", (event) => {
  const target = nearestDrawn(event);
  if (target !== pointed) point(target);
});
canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && point(null));
canvas.addEventListener("click", (event) => {
  const target = nearestDrawn(event);
  if (target !== pointed) point(target);
  if (target) showInViewer(target);
});
canvas.addEventListener("blur", () => point(null));
canvas.addEventListener("keydown", (event) => {
  const target = pointed ?? drawn[0];
  if (!target) return;
  const labels = [...new Set(drawn.map(({ label }) => label))];
  const find = (label, place) => drawn.find((d) => d.label === label && d.place === place);
  const row = labels.indexOf(target.label);
  const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const across = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (along) {
    point(pointed ? (find(target.label, target.place + along) ?? target) : target);
  } else if (across) {
    const label = labels[(row + across + labels.length) % labels.length];
    point(
      drawn
        .filter((d) => d.label === label)
        .sort((p, q) => Math.abs(p.x - target.x) - Math.abs(q.x - target.x))[0],
    );
  } else if (event.key === "Enter" && pointed) {
    showInViewer(pointed);
  } else if (event.key === "Escape") {
    point(null);
  } else {
    return;
  }
  event.preventDefault();
});

function drawLegend() {
  redraw(
    byId("legend"),
    results.codecs.map(({ label }) => {
      const shown = !state.hide.includes(label);
      const toggle = () =>
        change({ hide: shown ? [...state.hide, label] : state.hide.filter((h) => h !== label) });
      return el(
        "button",
        {
          type: "button",
          "aria-pressed": String(shown),
          "data-codec": label,
          onclick: toggle,
          title: shown ? "Hide this curve" : "Show this curve",
        },
        swatch(label),
        el("span", {}, codecName(label)),
      );
    }),
  );
}
