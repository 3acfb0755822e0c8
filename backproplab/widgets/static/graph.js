// The graph explorer in the browser. Python sends one picture and what each backward step
// changes in it; stepping, playing and scrubbing then need no kernel.

const PACE = 900; // milliseconds a step while playing

const element = (tag, options = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
};

// "`u` sends 6": names between backquotes are code.
const spoken = (text) =>
  text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));

// Drawn, because fonts turn these signs into coloured pictures.
const icon = (path) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 14 12");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = `<path d="${path}"/>`;
  return svg;
};

function render({ model, el }) {
  let timer = null;
  let report = null;
  const button = (text, label, action) =>
    element("button", { type: "button", title: label, "aria-label": label, onclick: action }, text);
  const first = button(icon("M1 1h2v10H1zM13 1v10L4 6z"), "To the start: values only (Home)", () => go(0));
  const back = button(icon("M11 1v10L3 6z"), "One step back (left arrow)", () => go(step() - 1));
  const play = button("Play", "Play the backward pass (space)", () => (timer ? stop() : start()));
  const next = button(icon("M3 1v10l8-5z"), "One step forward (right arrow)", () => go(step() + 1));
  const last = button(icon("M11 1h2v10h-2zM1 1v10l9-5z"), "To the end of the backward pass (End)", () => go(steps().length));
  const slider = element("input", {
    type: "range", min: 0, max: 0, value: 0, "aria-label": "Backward step",
    oninput: () => go(Number(slider.value)),
  });
  const count = element("span", { class: "bpl-count" });
  const fold = button("Fold", "Fold all modules", () => ask("*"));
  const unfold = button("Unfold", "Unfold all modules", () => ask(""));
  const bar = element("div", { class: "bpl-bar", role: "toolbar", "aria-label": "Backward pass" },
    first, back, play, next, last, slider, count, fold, unfold);
  const says = element("div", { class: "bpl-says", role: "status", "aria-live": "polite" });
  const stage = element("div", {
    class: "bpl-stage", tabindex: 0, role: "group",
    "aria-label": "Computation graph. Arrow keys step, Home and End jump, space plays, Enter selects. " +
      "Up and down scroll, left and right with Shift.",
  });
  const more = element("div", { class: "bpl-more" },
    ...spoken("The graph goes on beyond its frame: scroll, or click it and press `↑` `↓`, sideways `Shift` + `←` `→`."));
  const key = element("div", { class: "bpl-key" });
  key.innerHTML =
    "<span><b>━▶ = value</b>, forward</span>" +
    '<span><b class="grad">◀┅ ∂ gradient</b> of the loss, backward</span>' +
    "<span>× local derivative</span>" +
    '<span class="bpl-key-bars">small bars: histogram, mark at 0</span>';
  const note = element("div", { class: "bpl-note" });
  const root = element("div", {
    class: "bpl-graph bpl-lab", onkeydown: press,
    // JupyterLab's own arrow keys match what has the focus, so that must refuse them.
    onfocusin: ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true"),
  }, bar, says, stage, more, note, key);
  el.replaceChildren(root);

  const scene = () => model.get("scene");
  const steps = () => scene().steps ?? [];
  const step = () => model.get("step");

  function go(wanted) {
    const t = Math.max(0, Math.min(steps().length, wanted));
    if (t !== step()) model.set("step", t);
    else show();
    model.set("selected", t > 0 ? steps()[t - 1].box : "");
    tell();
  }

  // While a slider is dragged the kernel hears of the last place only.
  function tell() {
    clearTimeout(report);
    report = setTimeout(() => model.save_changes(), 60);
  }

  function start() {
    if (step() >= steps().length) go(0);
    timer = setInterval(() => {
      go(step() + 1);
      if (step() >= steps().length) stop();
    }, PACE);
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    show();
  }

  function ask(name) {
    model.send({ fold: name });
  }

  function pick(box) {
    model.set("selected", box.dataset.key);
    tell();
  }

  function press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = event.target;
    const box = target.closest?.(".bpl-box, .bpl-fold");
    if (event.key === "Enter" && box) activate(box);
    else if (event.key === " " && target.closest?.(".bpl-fold")) activate(box);
    else if (event.key === " " && target.tagName !== "BUTTON") timer ? stop() : start();
    else if (target === slider) return;
    else if (event.shiftKey && event.key === "ArrowRight") stage.scrollLeft += 80;
    else if (event.shiftKey && event.key === "ArrowLeft") stage.scrollLeft -= 80;
    else if (event.key === "ArrowRight") go(step() + 1);
    else if (event.key === "ArrowLeft") go(step() - 1);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(steps().length);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function activate(part) {
    if (part.classList.contains("bpl-fold")) ask(part.dataset.fold);
    else pick(part);
  }

  function draw() {
    const { svg, note: left, folds } = scene();
    stage.innerHTML = svg ?? "";
    note.replaceChildren(...spoken(left ?? ""));
    fold.hidden = unfold.hidden = !folds;
    key.querySelector(".bpl-key-bars").hidden = !stage.querySelector(".bars");
    const picture = stage.querySelector("svg");
    if (picture) {
      // Small pictures at their size; wide ones shrink to 60 %, then scroll.
      const wide = Number(picture.getAttribute("width"));
      picture.style.width = "100%";
      picture.style.maxWidth = `${wide}px`;
      picture.style.minWidth = `${Math.min(wide, Math.max(300, 0.6 * wide))}px`;
    }
    show();
  }

  function show() {
    const { grads, links } = scene();
    const n = steps().length;
    const t = Math.min(step(), n);
    const now = t > 0 ? steps()[t - 1] : null;
    for (const box of stage.querySelectorAll(".bpl-box")) {
      const { key } = box.dataset;
      const known = (grads?.[key] ?? []).filter(([at]) => at <= t).at(-1);
      box.classList.toggle("whole", Boolean(known?.[2]));
      box.classList.toggle("part", Boolean(known && !known[2]));
      box.classList.toggle("now", now?.box === key);
      box.classList.toggle("selected", model.get("selected") === key);
      const text = box.querySelector(".now-text");
      if (text) text.textContent = known?.[1] ?? "";
      const value = box.querySelector("title").textContent;
      box.setAttribute("aria-label", known ? `${value}, gradient ${known[1]}` : value);
    }
    for (const arrow of stage.querySelectorAll(".bpl-arrow")) {
      const at = links[arrow.dataset.link];
      arrow.classList.toggle("sent", at.some((s) => s <= t));
      arrow.classList.toggle("now", t > 0 && at.includes(t));
    }
    slider.max = n;
    slider.value = t;
    slider.setAttribute("aria-valuetext", `step ${t} of ${n}`);
    count.textContent = n ? `step ${t} of ${n}` : "";
    first.disabled = back.disabled = t === 0;
    next.disabled = last.disabled = t === n;
    play.disabled = slider.disabled = n === 0;
    play.textContent = timer ? "Pause" : "Play";
    const opening = n ? "The values are there. Step forward to send gradients back." : "";
    says.replaceChildren(...spoken(now ? now.says : opening));
    if (now) follow(stage.querySelector(".bpl-box.now"));
  }

  function follow(box) {
    if (!box) return;
    const a = box.getBoundingClientRect();
    const b = stage.getBoundingClientRect();
    if (a.top < b.top + 60) stage.scrollTop += a.top - b.top - 60;
    else if (a.bottom > b.bottom - 60) stage.scrollTop += a.bottom - b.bottom + 60;
    if (a.left < b.left) stage.scrollLeft += a.left - b.left - 20;
    else if (a.right > b.right) stage.scrollLeft += a.right - b.right + 20;
  }

  stage.addEventListener("click", (event) => {
    const part = event.target.closest(".bpl-fold, .bpl-box");
    if (part) activate(part);
  });
  model.on("change:scene", draw);
  model.on("change:step", show);
  model.on("change:selected", show);
  draw();
  return () => {
    clearInterval(timer);
    clearTimeout(report);
    model.off("change:scene", draw);
    model.off("change:step", show);
    model.off("change:selected", show);
  };
}

export default { render };
