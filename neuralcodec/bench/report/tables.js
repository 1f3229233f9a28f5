// The figures in rows and columns.

const byCodec = (label) =>
  el("th", { scope: "row" }, swatch(label), el("span", {}, codecName(label)));
const head = (...titles) =>
  el(
    "thead",
    {},
    el(
      "tr",
      {},
      titles.map((title) => el("th", { scope: "col", title }, title)),
    ),
  );

// The points of the chosen clip

function drawPoints() {
  const rows = results.codecs.flatMap(({ label }) =>
    curveOf(state.clip, label).map((point) =>
      el(
        "tr",
        {},
        byCodec(label),
        [
          String(Number(point.quality.toFixed(2))),
          bppText(point.bpp).replace(" bpp", ""),
          point.kbps === null ? "–" : threeDigits(point.kbps),
          ...METRICS.map((metric) => metricText({ ...metric, unit: "" }, point[metric.key])),
          bytesText(point.payload_bytes),
          bytesText(point.container_bytes),
          fpsText(point.encode_fps.median),
          fpsText(point.decode_fps.median),
        ].map((text) => el("td", {}, text)),
        el("td", { class: "code" }, point.parameters),
      ),
    ),
  );
  byId("points").replaceChildren(
    el(
      "table",
      {},
      head(
        "Codec",
        "Quality",
        "bpp",
        "kbit/s",
        ...METRICS.map((m) => m.name + (m.unit && `, ${m.unit}`)),
        "Video",
        "Container",
        "Encode fps",
        "Decode fps",
        "Parameters",
      ),
      el("tbody", {}, rows),
    ),
  );
}

// Speed and memory on the chosen clip

const middle = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

function overPoints(curve, figure) {
  const spreads = curve.map((point) => point[figure]).filter((spread) => spread !== null);
  if (spreads.length === 0) return null;
  return {
    median: middle(spreads.map((spread) => spread.median)),
    lowest: Math.min(...spreads.map((spread) => spread.lowest)),
    highest: Math.max(...spreads.map((spread) => spread.highest)),
  };
}

function drawSpeed() {
  const columns = [
    ["encode_fps", "Encode, fps", fpsText],
    ["decode_fps", "Decode, fps", fpsText],
    ["encode_memory", "Encode memory", memoryText],
    ["decode_memory", "Decode memory", memoryText],
  ];
  const measured = results.codecs
    .map(({ label }) => ({ label, curve: curveOf(state.clip, label) }))
    .filter(({ curve }) => curve.length > 0);
  const largest = columns.map(([figure]) =>
    Math.max(...measured.map(({ curve }) => overPoints(curve, figure)?.median ?? 0)),
  );
  byId("speed").replaceChildren(
    el(
      "table",
      { class: "speed" },
      head("Codec", ...columns.map(([, title]) => title)),
      el(
        "tbody",
        {},
        measured.map(({ label, curve }) =>
          el(
            "tr",
            { "data-codec": label },
            byCodec(label),
            columns.map(([figure, , text], index) => {
              const spread = overPoints(curve, figure);
              if (!spread) return el("td", { class: "none" }, "unknown");
              const bar = el("i", { "aria-hidden": "true" });
              bar.style.width = `${(100 * spread.median) / largest[index]}%`;
              return el(
                "td",
                {},
                text(spread.median),
                el("small", {}, `${text(spread.lowest)} – ${text(spread.highest)}`),
                bar,
              );
            }),
          ),
        ),
      ),
    ),
  );
  const { repeats } = results.setup;
  byId("speed-lead").textContent =
    "Each codec alone on the same machine. Large: the median over all qualities; small: the " +
    `slowest and the fastest, the least and the most, of ${plural(repeats, "run")} each.`;
}

// Parameters and setup

function drawParameters() {
  byId("parameters").replaceChildren(
    el(
      "table",
      { class: "parameters" },
      head("Codec", "Version", "Parameters"),
      el(
        "tbody",
        {},
        results.codecs.map((codec) =>
          el(
            "tr",
            {},
            byCodec(codec.label),
            el("td", {}, codec.version),
            el("td", { class: "code" }, codec.parameters),
          ),
        ),
      ),
    ),
  );
}

function drawSetup(pictureNote) {
  const { setup } = results;
  const frames = setup.frames === null ? "all" : `at most ${setup.frames}`;
  const rows = [
    ["Date", setup.date.replace("T", " ").replace(/(\.\d+)?(Z|\+00:00)$/, " UTC")],
    ["Machine", setup.machine],
    ["Device of ncodec", setup.device],
    ["Frames", `${frames} of each clip, an intra frame at least every ${setup.gop}`],
    ["Timings", `${plural(setup.repeats, "run")} of each point, in shuffled order`],
    ["Rate", "the video's payload alone, without container"],
    ["Pictures", pictureNote],
    ["Command", setup.command],
    [
      "Versions",
      Object.entries(setup.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(" · "),
    ],
    ...setup.absent_metrics.map(({ name, reason }) => [`No ${name.toUpperCase()}`, reason]),
    ...results.skipped.map(({ clip, codec, reason }) => [
      `Not measured`,
      `${clip}${codec === null ? "" : `, ${codecName(codec)}`}: ${reason}`,
    ]),
  ].filter(([, text]) => text);
  byId("setup").replaceChildren(
    el(
      "dl",
      { class: "setup" },
      rows.map(([name, text]) => [
        el("dt", {}, name),
        el("dd", { class: name === "Command" ? "code" : null }, text),
      ]),
    ),
    el(
      "div",
      { class: "scroll", role: "region", "aria-label": "Clips", tabindex: 0 },
      el(
        "table",
        {},
        head("Clip", "Size", "Frame rate", "Depth", "Frames"),
        el(
          "tbody",
          {},
          results.clips.map((clip) =>
            el(
              "tr",
              {},
              el("th", { scope: "row", title: clip.path }, clip.name),
              [
                `${clip.width} × ${clip.height}`,
                clip.frame_rate === null ? "unknown" : `${threeDigits(clip.frame_rate)} fps`,
                `${clip.bit_depth} bit`,
                grouped(clip.frames, 0),
              ].map((text) => el("td", {}, text)),
            ),
          ),
        ),
      ),
    ),
  );
}
