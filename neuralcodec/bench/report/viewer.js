// One frame of two codecs at the nearest equal rate, divided by a line that moves.

const stage = el("div", {
  class: "stage",
  tabindex: 0,
  role: "group",
  "aria-label": "Pictures. Plus and minus zoom, arrow keys move the picture.",
});
const divider = el(
  "div",
  {
    class: "divider",
    tabindex: 0,
    role: "slider",
    "aria-label": "Dividing line",
    "aria-valuemin": 0,
    "aria-valuemax": 100,
  },
  el("span", { class: "grip", "aria-hidden": "true" }),
);
const layers = ["a", "b"].map((side) => {
  const image = el("img", { alt: "", draggable: "false", decoding: "sync" });
  const layer = el("div", { class: `layer ${side}` }, image);
  const badge = el("div", { class: `badge ${side}`, "aria-hidden": "true" });
  return { side, image, layer, badge };
});
const viewerControls = el("div", { class: "toolbar" });
const zoomControls = el("div", { class: "zoom" });
const facts = el("div", { class: "facts" });

function buildViewer() {
  if (!results.clips.some(withPictures)) {
    byId("viewer-section").hidden = true;
    byId("skip").hidden = true;
    return;
  }
  stage.append(...layers.map(({ layer }) => layer), divider, ...layers.map(({ badge }) => badge));
  byId("viewer").append(viewerControls, stage, zoomControls, facts);
}

// A codec that was not measured on the clip has no picture: the source stands in.
const shownLabel = (side) => (curveOf(state.clip, state[side]).length ? state[side] : SOURCE);

// The point of each side, null for the source: the first codec of both sets the rate.
function shownPoints() {
  const curves = [state.a, state.b].map((label) => curveOf(state.clip, label));
  const leader = curves[0].length ? 0 : 1;
  const curve = curves[leader];
  if (curve.length === 0) return { leader, curve, points: [null, null] };
  const matches = curve.map((leading) =>
    curves.map((other, side) =>
      side === leader ? leading : other.length ? nearestByRate(other, leading.bpp) : null,
    ),
  );
  const number =
    state.point === 0 ? closestMatch(matches) + 1 : Math.min(state.point, curve.length);
  const points = matches[number - 1];
  return { leader, curve, number, points };
}

// Of pairs of points, the one whose rates differ least; the middle one without a second codec.
function closestMatch(pairs) {
  const apart = pairs.map(([a, b]) => (a && b ? Math.abs(Math.log(a.bpp / b.bpp)) : 0));
  return apart.every((ratio) => ratio === 0)
    ? Math.floor(pairs.length / 2)
    : apart.indexOf(Math.min(...apart));
}

// Another codec takes over at the rate that was shown.
function chooseCodec(side, label) {
  const { leader, points } = shownPoints();
  const next = { [side]: label };
  const chosen = { ...state, ...next };
  const curve = curveOf(state.clip, chosen.a).length
    ? curveOf(state.clip, chosen.a)
    : curveOf(state.clip, chosen.b);
  const before = points[leader];
  next.point = before && curve.length ? curve.indexOf(nearestByRate(curve, before.bpp)) + 1 : 0;
  change(next);
}

function drawViewer() {
  const clip = clipNamed(state.clip);
  if (!clip || byId("viewer-section").hidden) return;
  drawViewerControls(clip);
  stage.style.setProperty("--ratio", String(clip.width / clip.height));
  stage.hidden = clip.pictures.length === 0;
  zoomControls.hidden = stage.hidden;
  drawPictures();
}

const frameShown = (clip) => Math.min(state.frame, clip.pictures.length - 1);

// Both sides keep the points that they show, as far as the nearest rate leads back to them.
function swap() {
  const { leader, number, points } = shownPoints();
  const other = points[1 - leader];
  const follows = leader === 0 && other;
  const point = follows ? curveOf(state.clip, state.b).indexOf(other) + 1 : (number ?? 0);
  change({ a: state.b, b: state.a, point });
}

function drawViewerControls(clip) {
  const { leader, curve, number } = shownPoints();
  const codecs = [
    { value: SOURCE, text: "Source" },
    ...results.codecs
      .filter(({ label }) => curveOf(clip.name, label).length > 0)
      .map(({ label }) => ({ value: label, text: codecName(label) })),
  ];
  const frames = clip.pictures.map((picture, index) => ({
    value: index,
    text: String(picture.frame),
  }));
  redraw(
    viewerControls,
    results.clips.length > 1 ? clipChoice() : null,
    choice("Left", "side", codecs, shownLabel("a"), (label) => chooseCodec("a", label)),
    el(
      "button",
      {
        type: "button",
        class: "swap",
        "aria-label": "Swap left and right",
        title: "Swap",
        onclick: swap,
      },
      "⇄",
    ),
    choice("Right", "side", codecs, shownLabel("b"), (label) => chooseCodec("b", label)),
    curve.length > 1
      ? el(
          "label",
          { class: "field range" },
          el("span", {}, `Rate of ${codecName(leader === 0 ? state.a : state.b)}`),
          el("input", {
            type: "range",
            min: 1,
            max: curve.length,
            step: 1,
            value: number,
            oninput: (event) => change({ point: Number(event.target.value) }),
          }),
        )
      : null,
    frames.length > 1
      ? segments("Frame", frames, frameShown(clip), (frame) => change({ frame }))
      : null,
  );
}

// The rate's slider stays as it is, for it may be what is being dragged.
function drawPictures() {
  const clip = clipNamed(state.clip);
  const { leader, points } = shownPoints();
  const place = frameShown(clip);
  const range = viewerControls.querySelector(".range input");
  range?.setAttribute("aria-valuetext", bppText(points[leader].bpp));
  layers.forEach(({ side, image, badge }, index) => {
    const shown = points[index] ? points[index].pictures[place] : clip.pictures[place];
    const source = shown ? pictures.uris[shown.picture] : "";
    if (image.getAttribute("src") !== source) image.src = source;
    const name = codecName(shownLabel(side));
    image.alt = `Frame ${clip.pictures[place]?.frame}, ${name}`;
    badge.textContent = name;
  });
  facts.replaceChildren(
    ...layers.map(({ side }, index) => factsOf(side, points[index], points[1 - index], place)),
  );
  drawView();
}

function factsOf(side, point, other, place) {
  if (!point) {
    return el(
      "div",
      { class: side },
      el("h3", {}, "Source"),
      el("p", {}, "as it was, uncompressed"),
    );
  }
  const more = other ? (point.bpp / other.bpp - 1) * 100 : 0;
  const psnr = METRICS.find(({ key }) => key === "psnr_yuv");
  const mean = metricText(psnr, point.psnr_yuv);
  const shown = point.pictures[place];
  return el(
    "div",
    { class: side, "data-codec": point.codec },
    el("h3", {}, swatch(point.codec), codecName(point.codec)),
    el(
      "p",
      { class: "figures" },
      el("b", {}, bppText(point.bpp)),
      el("span", {}, `${kbpsText(point.kbps)} over the clip`.trim()),
    ),
    el(
      "p",
      { class: "figures psnr" },
      el("b", {}, shown ? metricText(psnr, shown.psnr_yuv) : mean),
      el("span", {}, shown ? `PSNR-YUV of frame ${shown.frame}` : "PSNR-YUV, mean of the clip"),
      shown ? el("span", {}, `clip mean ${mean}`) : null,
    ),
    side === "b" && other
      ? el(
          "p",
          { class: Math.abs(more) > 15 ? "apart" : "" },
          `${signed(more, 1)} % bits against ${codecName(other.codec)}` +
            (Math.abs(more) > 15 ? ": no point is closer in rate" : ""),
        )
      : null,
    el("p", { class: "code" }, point.parameters),
  );
}

// Place and scale of both pictures, and the line between them.
function drawView() {
  const clip = clipNamed(state.clip);
  const [width, height] = [stage.clientWidth, stage.clientHeight];
  if (!clip || width === 0) return;
  const half = 0.5 / state.zoom;
  const centre = [state.x, state.y].map((c) => Math.min(1 - half, Math.max(half, c)));
  const [left, top] = [width, height].map(
    (size, axis) => -(centre[axis] - half) * size * state.zoom,
  );
  // A picture shown smaller than it is would look jagged with single samples left out.
  const enlarged = (width * state.zoom * devicePixelRatio) / clip.width >= 1;
  for (const { image } of layers) {
    image.style.width = `${width * state.zoom}px`;
    image.style.height = `${height * state.zoom}px`;
    image.style.transform = `translate(${left}px, ${top}px)`;
    image.style.imageRendering = enlarged ? "pixelated" : "auto";
  }
  const split = `${100 * state.split}%`;
  layers[0].layer.style.clipPath = `inset(0 ${100 - 100 * state.split}% 0 0)`;
  layers[1].layer.style.clipPath = `inset(0 0 0 ${split})`;
  divider.style.left = split;
  divider.setAttribute("aria-valuenow", Math.round(100 * state.split));
  divider.setAttribute(
    "aria-valuetext",
    `${Math.round(100 * state.split)} % ${codecName(shownLabel("a"))}`,
  );
  stage.classList.toggle("zoomed", state.zoom > 1);
  // A name that reaches over the line would be read as that of the other picture.
  const line = state.split * width;
  const [a, b] = layers.map(({ badge }) => badge);
  a.classList.toggle("covered", a.offsetLeft + a.offsetWidth > line);
  b.classList.toggle("covered", b.offsetLeft < line);
  redraw(
    zoomControls,
    el(
      "button",
      {
        type: "button",
        "aria-label": "Zoom out",
        disabled: state.zoom <= 1,
        onclick: () => zoomBy(0.5),
      },
      "−",
    ),
    el("output", {}, `${threeDigits(state.zoom).replace(/\.?0+$/, "")}×`),
    el(
      "button",
      {
        type: "button",
        "aria-label": "Zoom in",
        disabled: state.zoom >= 8,
        onclick: () => zoomBy(2),
      },
      "+",
    ),
    el(
      "button",
      {
        type: "button",
        disabled: state.zoom <= 1,
        onclick: () => change({ zoom: 1, x: 0.5, y: 0.5 }),
      },
      "Fit",
    ),
    el(
      "span",
      { class: "hint" },
      "Wheel or pinch zooms, dragging moves the line or the zoomed picture",
    ),
  );
}

// Zooms so that the place under the pointer (a part of the stage) stays where it is.
function zoomBy(factor, px = 0.5, py = 0.5) {
  const zoom = Math.min(8, Math.max(1, state.zoom * factor));
  const moved = (c, p) => {
    const [half, next] = [0.5 / state.zoom, 0.5 / zoom];
    const centre = Math.min(1 - half, Math.max(half, c));
    return Math.min(1 - next, Math.max(next, centre + (p - 0.5) * (1 / state.zoom - 1 / zoom)));
  };
  change({ zoom, x: moved(state.x, px), y: moved(state.y, py) });
}

function pan(dx, dy) {
  const half = 0.5 / state.zoom;
  const moved = (c, d) => Math.min(1 - half, Math.max(half, c + d));
  change({ x: moved(state.x, dx), y: moved(state.y, dy) });
}
