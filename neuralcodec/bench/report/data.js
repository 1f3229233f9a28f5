// What was measured, and how it is worded.

const results = JSON.parse(document.getElementById("results").textContent);
// `uris` are the pictures, `note` says how they are stored.
const pictures = JSON.parse(document.getElementById("pictures").textContent);
const SOURCE = "source"; // stands among the codecs' labels in the viewer

const METRICS = [
  { key: "psnr_yuv", name: "PSNR-YUV", unit: "dB", digits: 2 },
  { key: "psnr_y", name: "PSNR-Y", unit: "dB", digits: 2 },
  { key: "ssim", name: "SSIM", unit: "", digits: 4 },
  { key: "ms_ssim", name: "MS-SSIM", unit: "", digits: 4 },
  { key: "vmaf", name: "VMAF", unit: "", digits: 1 },
].filter(({ key }) => results.points.some((point) => point[key] !== null));

const RATES = [
  { key: "bpp", name: "bpp", axis: "bits per pixel" },
  { key: "kbps", name: "kbit/s", axis: "kbit/s" },
].filter(({ key }) => results.points.every((point) => point[key] !== null));

const clipNamed = (name) => results.clips.find((clip) => clip.name === name);
const codecOf = (label) => results.codecs.find((codec) => codec.label === label);

// Of a codec that always codes with low delay, its name need not say so, and its label does not.
const isLowDelaySetting = (codec) => codec.low_delay && codec.label.endsWith(":lowdelay");

function codecName(label) {
  const codec = codecOf(label);
  if (!codec) return "Source";
  const preset = /^\d/.test(codec.preset) ? `preset ${codec.preset}` : codec.preset;
  return [codec.name, preset, isLowDelaySetting(codec) ? "low delay" : ""]
    .filter(Boolean)
    .join(" ");
}

// Lowest rate first.
function curveOf(clip, label) {
  return results.points
    .filter((point) => point.clip === clip && point.codec === label)
    .sort((p, q) => p.bpp - q.bpp);
}

// By ratio, for a codec at half the rate is as far away as one at twice the rate.
function nearestByRate(curve, bpp) {
  const distance = (point) => Math.abs(Math.log(point.bpp / bpp));
  return curve.reduce((best, point) => (distance(point) < distance(best) ? point : best), curve[0]);
}

// Figures. A true minus sign, thousands separated, and as many digits as mean something.

const grouped = (value, digits) =>
  value
    .toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
    .replace("-", "−");

function threeDigits(value) {
  if (value === 0) return "0";
  return grouped(value, Math.min(5, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))));
}

function signed(value, digits) {
  const text = grouped(value, digits);
  return Number(value.toFixed(digits)) > 0 ? `+${text}` : text.replace(/^−(?=[0.]+$)/, "");
}

const bppText = (value) => `${threeDigits(value)} bpp`;
const kbpsText = (value) => (value === null ? "" : `${threeDigits(value)} kbit/s`);
const fpsText = (value) => threeDigits(value);
const metricText = (metric, value) =>
  value === null ? "–" : grouped(value, metric.digits) + (metric.unit && ` ${metric.unit}`);

function bytesText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${threeDigits(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${threeDigits(bytes / 1e6)} MB` : `${threeDigits(bytes / 1e9)} GB`;
}

const memoryText = (bytes) => `${threeDigits(bytes / 2 ** 20)} MiB`;

const plural = (count, noun) => `${grouped(count, 0)} ${noun}${count === 1 ? "" : "s"}`;
