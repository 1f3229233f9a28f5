// What is shown now. It lives in the address after "#", so that a view can be kept and sent.

const listeners = [];
const whenChanged = (listener) => listeners.push(listener);

const withPictures = (clip) => clip.pictures.length > 0;

function defaults() {
  const clip = results.clips.find(withPictures) ?? results.clips[0];
  const labels = results.codecs.map((codec) => codec.label);
  const own = results.codecs.find((codec) => codec.name === "ncodec");
  const a = (own ?? results.codecs.find((c) => c.label !== results.setup.anchor))?.label ?? SOURCE;
  return {
    clip: clip?.name ?? "",
    metric: METRICS[0]?.key,
    rate: RATES[0]?.key,
    figure: "rate", // of the table of savings: rate or psnr
    hide: [],
    a,
    b: labels.includes(results.setup.anchor) ? results.setup.anchor : SOURCE,
    point: 0, // on the curve of the codec that sets the rate, from 1; 0 is where both agree best
    frame: 0, // place among the chosen frames
    split: 0.5,
    zoom: 1,
    x: 0.5, // centre of the view in the picture
    y: 0.5,
    theme: "auto",
  };
}

let state = defaults();

const within = (text, low, high, otherwise) => {
  const value = Number.parseFloat(text);
  return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
};
const oneOf = (value, allowed, otherwise) => (allowed.includes(value) ? value : otherwise);

// An address can be mistyped or from another report: what does not fit is the default.
function stateFromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const plain = defaults();
  const labels = results.codecs.map((codec) => codec.label);
  return {
    clip: oneOf(
      asked.get("clip"),
      results.clips.map((clip) => clip.name),
      plain.clip,
    ),
    metric: oneOf(
      asked.get("metric"),
      METRICS.map(({ key }) => key),
      plain.metric,
    ),
    rate: oneOf(
      asked.get("rate"),
      RATES.map(({ key }) => key),
      plain.rate,
    ),
    figure: oneOf(asked.get("figure"), ["rate", "psnr"], plain.figure),
    hide: labels.filter((label) => (asked.get("hide") ?? "").split(",").includes(label)),
    a: oneOf(asked.get("a"), [...labels, SOURCE], plain.a),
    b: oneOf(asked.get("b"), [...labels, SOURCE], plain.b),
    point: Math.round(within(asked.get("point"), 0, 999, plain.point)),
    frame: Math.round(within(asked.get("frame"), 0, 999, plain.frame)),
    split: within(asked.get("split"), 0, 1, plain.split),
    zoom: within(asked.get("zoom"), 1, 8, plain.zoom),
    x: within(asked.get("x"), 0, 1, plain.x),
    y: within(asked.get("y"), 0, 1, plain.y),
    theme: oneOf(asked.get("theme"), ["auto", "light", "dark"], plain.theme),
  };
}

let addressTimer = 0;

function change(difference) {
  state = { ...state, ...difference };
  listeners.forEach((listener) => listener(difference));
  clearTimeout(addressTimer); // browsers refuse too many changes of the address
  addressTimer = setTimeout(writeAddress, 200);
}

function writeAddress() {
  const plain = defaults();
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    const text = typeof value === "number" ? String(Number(value.toFixed(4))) : String(value);
    if (text !== String(plain[name])) kept.set(name, text);
  }
  history.replaceState(null, "", `#${kept}`);
}

window.addEventListener("hashchange", () => change(stateFromAddress()));
