// BD-rate and BD-PSNR against the anchor, with the reason where there is none.

function drawSavings() {
  const ofRate = state.figure === "rate";
  const figure = ofRate ? "bd_rate" : "bd_psnr";
  const text = (value) => (ofRate ? `${signed(value, 1)} %` : `${signed(value, 2)} dB`);
  const anchor = results.setup.anchor;
  const reasons = [];
  const others = results.codecs.filter(({ label }) => label !== anchor);
  const deltaOf = (clip, label) =>
    results.deltas.find((delta) => delta.clip === clip && delta.codec === label);
  const rows = others.map(({ label }) => {
    const found = results.clips
      .map((clip) => deltaOf(clip.name, label)?.[figure] ?? null)
      .filter((value) => value !== null);
    return { label, found, mean: found.reduce((sum, value) => sum + value, 0) / found.length };
  });
  const largest = Math.max(...rows.map(({ mean }) => Math.abs(mean)).filter(Number.isFinite), 1e-9);

  const cell = (clip, label) => {
    const value = deltaOf(clip, label)?.[figure] ?? null;
    if (value !== null) return el("td", { class: tone(value, ofRate) }, text(value));
    const reason = whyAbsent(clip, label, deltaOf(clip, label), ofRate);
    reasons.push(`${codecName(label)}, ${clip}: ${reason}`);
    return el(
      "td",
      { class: "none", title: reason },
      "none",
      el("sup", {}, String(reasons.length)),
    );
  };
  const several = results.clips.length > 1;
  byId("saved").replaceChildren(
    el(
      "table",
      { class: "savings" },
      head(
        "Codec",
        several ? "Mean" : (results.clips[0]?.name ?? ""),
        "",
        ...(several ? results.clips.map((clip) => clip.name) : []),
      ),
      el(
        "tbody",
        {},
        el(
          "tr",
          { class: "anchor" },
          byCodec(anchor),
          el("td", {}, ofRate ? "0 %" : "0 dB"),
          el("td", {}, "anchor"),
          several ? results.clips.map(() => el("td", {}, "")) : [],
        ),
        rows.map(({ label, mean, found }) =>
          el(
            "tr",
            { "data-codec": label },
            byCodec(label),
            several
              ? el(
                  "td",
                  { class: `mean ${tone(mean, ofRate)}` },
                  found.length ? text(mean) : "none",
                  found.length && found.length < results.clips.length
                    ? el("small", {}, `of ${plural(found.length, "clip")}`)
                    : null,
                )
              : cell(results.clips[0]?.name ?? "", label),
            el("td", { class: "bar" }, found.length ? divergingBar(mean / largest, ofRate) : ""),
            several ? results.clips.map((clip) => cell(clip.name, label)) : [],
          ),
        ),
      ),
    ),
  );
  redraw(
    byId("reasons"),
    reasons.map((reason) => el("li", {}, reason)),
  );
  byId("reasons").hidden = reasons.length === 0;
  byId("saved-lead").textContent = ofRate
    ? `BD-rate: bits needed at equal PSNR-YUV, against ${codecName(anchor)}. Below 0 saves bits.`
    : `BD-PSNR: PSNR-YUV gained at equal bits, against ${codecName(anchor)}. Above 0 is better.`;
}

function whyAbsent(clip, label, delta, ofRate) {
  if (delta)
    return delta.reason ?? (ofRate ? "no reason given" : "the curves have no rate in common");
  const skipped = results.skipped.find(
    (skip) => skip.clip === clip && (skip.codec === null || skip.codec === label),
  );
  return skipped?.reason ?? "not measured";
}

const tone = (value, lowIsGood) =>
  !Number.isFinite(value) || value === 0 ? "" : value < 0 === lowIsGood ? "better" : "worse";

function divergingBar(part, lowIsGood) {
  const width = Math.max(1, Math.abs(part) * 58);
  return svg(
    "svg",
    { viewBox: "-60 0 120 12", width: 120, height: 12, "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 0, y1: 0, y2: 12 }),
    svg("rect", {
      x: part < 0 ? -width : 0,
      y: 2,
      width,
      height: 8,
      rx: 1.5,
      class: tone(part, lowIsGood),
    }),
  );
}
