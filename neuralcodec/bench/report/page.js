// Puts the parts together and redraws what a change touches.

const clipChoice = () =>
  choice(
    "Clip",
    "clip",
    results.clips.map(({ name }) => ({ value: name, text: name })),
    state.clip,
    (clip) => change({ clip, point: 0 }),
  );
const asChoices = (entries) => entries.map(({ key, name }) => ({ value: key, text: name }));

function drawToolbars() {
  redraw(
    byId("saved-toolbar"),
    segments(
      "Figure",
      [
        { value: "rate", text: "BD-rate" },
        { value: "psnr", text: "BD-PSNR" },
      ],
      state.figure,
      (figure) => change({ figure }),
    ),
  );
  redraw(
    byId("curves-toolbar"),
    results.clips.length > 1 ? clipChoice() : null,
    METRICS.length > 1
      ? segments("Quality", asChoices(METRICS), state.metric, (metric) => change({ metric }))
      : null,
    RATES.length > 1
      ? segments("Rate", asChoices(RATES), state.rate, (rate) => change({ rate }))
      : null,
  );
  redraw(byId("speed-toolbar"), results.clips.length > 1 ? clipChoice() : null);
}

function drawTheme() {
  const { theme } = state;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const following = { auto: "dark", dark: "light", light: "auto" }[theme];
  byId("theme").textContent = `Theme: ${theme}`;
  byId("theme").onclick = () => change({ theme: following });
}

const VIEW_ONLY = ["split", "zoom", "x", "y"];

whenChanged((difference) => {
  const touched = Object.keys(difference);
  if (touched.every((name) => VIEW_ONLY.includes(name))) {
    drawView();
    return;
  }
  if (touched.every((name) => name === "point")) {
    drawPictures();
    return;
  }
  const touches = (...names) => names.some((name) => touched.includes(name));
  if (touches("theme")) drawTheme();
  if (touches("clip", "metric", "rate", "figure")) drawToolbars();
  if (touches("figure")) drawSavings();
  if (touches("hide")) drawLegend();
  if (touches("clip", "metric", "rate", "hide")) drawChart();
  if (touches("clip")) {
    drawPoints();
    drawSpeed();
  }
  drawViewer();
});

const { setup, clips, codecs } = results;
byId("summary").textContent = [
  clips.length === 1 ? clips[0].name : plural(clips.length, "clip"),
  plural(codecs.length, "codec setting"),
  plural(setup.points, "quality").replace("qualitys", "qualities"),
  setup.date.slice(0, 10),
].join(" · ");
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("viewer-section").scrollIntoView();
  stage.focus();
});

state = stateFromAddress();
buildViewer();
drawTheme();
drawToolbars();
drawSavings();
drawLegend();
drawChart();
drawPoints();
drawSpeed();
drawParameters();
drawSetup(pictures.note);
drawViewer();
new ResizeObserver(() => drawChart()).observe(chart);
new ResizeObserver(() => drawView()).observe(stage);
