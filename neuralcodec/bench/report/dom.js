// Elements. Texts only ever become text nodes: a clip's name can hold anything.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false)
      node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null));
  return node;
}

const el = (tag, attributes, ...children) =>
  filled(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  filled(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);

// `choices` are {value, text}.
function choice(label, kind, choices, chosen, choose) {
  const menu = el(
    "select",
    { onchange: (event) => choose(choices[event.target.selectedIndex].value) },
    choices.map(({ value, text }) => el("option", { selected: value === chosen }, text)),
  );
  return el("label", { class: `field ${kind}` }, el("span", {}, label), menu);
}

function segments(label, choices, chosen, choose) {
  const name = `segments-${label.replace(/\W/g, "-")}`;
  return el(
    "fieldset",
    { class: "segments" },
    el("legend", {}, label),
    choices.map(({ value, text }) =>
      el(
        "label",
        {},
        el("input", {
          type: "radio",
          name,
          value,
          checked: value === chosen,
          onchange: () => choose(value),
        }),
        el("span", {}, text),
      ),
    ),
  );
}

// A redrawn control keeps the keyboard's focus.
function redraw(parent, ...children) {
  const focused = document.activeElement;
  const held = parent.contains(focused)
    ? [...parent.querySelectorAll("select, input, button")].indexOf(focused)
    : -1;
  const radio = held >= 0 && focused.type === "radio";
  parent.replaceChildren(...children.flat().filter((child) => child !== null));
  if (held < 0) return;
  const controls = parent.querySelectorAll("select, input, button");
  const again = radio
    ? parent.querySelector(`input[name="${focused.name}"]:checked`)
    : controls[held];
  again?.focus({ preventScroll: true });
}
