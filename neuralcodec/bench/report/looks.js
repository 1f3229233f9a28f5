// How a codec looks in every drawing: hue and marker say which, a dashed line that it is low-delay.
// Hues after Okabe and Ito, told apart by colour-blind eyes; their values are in report.css.

const KNOWN = ["ncodec", "x264", "x265", "svtav1", "vp9"];
const HUES = 8;

const MARKERS = [
  (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
  (r) => `M${-0.88 * r},${-0.88 * r}h${1.76 * r}v${1.76 * r}h${-1.76 * r}z`,
  (r) => `M0,${-1.25 * r}L${1.25 * r},0L0,${1.25 * r}L${-1.25 * r},0z`,
  (r) => `M0,${-1.15 * r}L${1.15 * r},${0.85 * r}H${-1.15 * r}z`,
  (r) => `M0,${1.15 * r}L${1.15 * r},${-0.85 * r}H${-1.15 * r}z`,
];

const families = [
  ...KNOWN,
  ...new Set(results.codecs.map((codec) => codec.name).filter((name) => !KNOWN.includes(name))),
];

function lookOf(label) {
  const codec = codecOf(label);
  const lowDelay = isLowDelaySetting(codec);
  const family = families.indexOf(codec.name);
  const sisters = results.codecs.filter((other) => other.name === codec.name);
  const number = sisters.filter((c) => isLowDelaySetting(c) === lowDelay).indexOf(codec);
  const dashes = lowDelay ? ["5 4", "5 3 1 3", "2 3"] : [null, "10 3", "12 3 3 3"];
  return {
    hue: `hue-${family % HUES}`,
    marker: MARKERS[family % MARKERS.length],
    dash: dashes[number % dashes.length],
    hollow: lowDelay,
  };
}

function markerOf(label, radius) {
  const look = lookOf(label);
  return svg("path", {
    d: look.marker(radius),
    class: `marker ${look.hue} ${look.hollow ? "hollow" : ""}`,
  });
}

function swatch(label) {
  const look = lookOf(label);
  return svg(
    "svg",
    {
      class: `swatch ${look.hue}`,
      viewBox: "-16 -7 32 14",
      width: 32,
      height: 14,
      "aria-hidden": "true",
    },
    svg("path", { d: "M-15,0H15", class: "line", "stroke-dasharray": look.dash }),
    markerOf(label, 4.5),
  );
}
