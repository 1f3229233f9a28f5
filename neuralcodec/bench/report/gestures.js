// Mouse, touch and keys in the viewer.

const fingers = new Map(); // pointer id -> {x, y}
let onDivider = false;
let splitBefore = 0; // the gesture: back to there if it proves to be another one

const partOf = (event) => {
  const box = stage.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};
// A second finger zooms, and a page that scrolls takes the finger away: neither means the line.
function leaveDivider() {
  if (onDivider) change({ split: splitBefore });
  onDivider = false;
}

const splitAt = (event) => change({ split: Math.min(1, Math.max(0, partOf(event)[0])) });

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  // A picture that fits has nowhere to go: dragging it means the line.
  if (fingers.size === 1) {
    onDivider = divider.contains(event.target) || state.zoom === 1;
    splitBefore = state.split;
  } else {
    leaveDivider();
  }
  stage.setPointerCapture(event.pointerId);
  if (onDivider) splitAt(event);
});

stage.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = { x: event.clientX, y: event.clientY };
  fingers.set(event.pointerId, now);
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const distance = (p) => Math.max(1, Math.hypot(p.x - other.x, p.y - other.y));
    const between = { clientX: (now.x + other.x) / 2, clientY: (now.y + other.y) / 2 };
    zoomBy(distance(now) / distance(before), ...partOf(between));
  } else if (onDivider) {
    splitAt(event);
  } else {
    pan(
      (before.x - now.x) / stage.clientWidth / state.zoom,
      (before.y - now.y) / stage.clientHeight / state.zoom,
    );
  }
});

for (const end of ["pointerup", "pointercancel"]) {
  stage.addEventListener(end, (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (end === "pointercancel") leaveDivider();
  });
}

stage.addEventListener(
  "wheel",
  (event) => {
    // At either end of the range the page scrolls on.
    if ((event.deltaY > 0 && state.zoom <= 1) || (event.deltaY < 0 && state.zoom >= 8)) return;
    event.preventDefault();
    zoomBy(2 ** (-Math.max(-100, Math.min(100, event.deltaY)) / 200), ...partOf(event));
  },
  { passive: false },
);

stage.addEventListener("keydown", (event) => {
  const step = 0.1 / state.zoom;
  const moves = {
    ArrowLeft: [-step, 0],
    ArrowRight: [step, 0],
    ArrowUp: [0, -step],
    ArrowDown: [0, step],
  };
  if (event.key === "+" || event.key === "=") zoomBy(2);
  else if (event.key === "-") zoomBy(0.5);
  else if (event.key === "0") change({ zoom: 1, x: 0.5, y: 0.5 });
  else if (event.target === stage && state.zoom > 1 && moves[event.key]) pan(...moves[event.key]);
  else return;
  event.preventDefault();
});

divider.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 0.1 : 0.02;
  const next = {
    ArrowLeft: state.split - step,
    ArrowDown: state.split - step,
    ArrowRight: state.split + step,
    ArrowUp: state.split + step,
    Home: 0,
    End: 1,
  }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  change({ split: Math.min(1, Math.max(0, next)) });
});
