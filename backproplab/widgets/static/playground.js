// The playground in the browser. The kernel trains and sends frames: numbers, then a byte
// for each cell of each neuron's map. Here they are drawn; every third or so
// is answered, so that a kernel whose pictures nobody sees stops by itself.

const GRID = 40;
const SVG = "http://www.w3.org/2000/svg";
const mix = (a, b, t) => a.map((v, i) => Math.round(v + (b[i] - v) * t));

// Orange below 128, white there, blue above: a colour for each byte.
const colours = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  const t = Math.max(-1, (byte - 128) / 127);
  const [r, g, b] = mix([247, 247, 247], t > 0 ? [0, 114, 178] : [230, 159, 0], Math.abs(t));
  colours[byte] = (255 << 24) | (b << 16) | (g << 8) | r;
}
const BORDER = (255 << 24) | (60 << 16) | (60 << 8) | 60;

const drawn = (tag, attributes) => {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};

const element = (tag, className, attributes = {}) => {
  const node = document.createElement(tag);
  node.className = className;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};

function render({ model, el }) {
  const root = element("div", "bpl-graph bpl-ground");
  const board = element("div", "bpl-board", {
    tabindex: 0, role: "application",
    "aria-label": "The net. Arrow keys choose a weight: left and right a layer, up and down "
      + "a weight in it; Enter writes out its gradient.",
  });
  const told = element("div", "bpl-told", { role: "status", "aria-live": "polite" });
  const key = element("div", "bpl-key");
  root.append(board, told, key);
  el.replaceChildren(root);
  // JupyterLab's own arrow keys match what has the focus, so that must refuse them.
  root.addEventListener("focusin", ({ target }) =>
    target.setAttribute("data-lm-suppress-shortcuts", "true"));

  let scene, svg, canvas, pen, edges, halo, spot, texts, curves, layers;
  let cursor = null; // the weight that the arrow keys are at
  let waiting = false;
  let seen = true;
  let painted = 0;
  let came = 0; // frames since the last answer
  const tile = new OffscreenCanvas(GRID, GRID);
  const tilePen = tile.getContext("2d");
  const image = tilePen.createImageData(GRID, GRID);
  const pixels = new Uint32Array(image.data.buffer);

  function build() {
    scene = model.get("scene");
    if (!scene.places) return;
    ({ layers } = scene.places);
    const { size, output, width, height, curve } = scene.places;
    svg = drawn("svg", { class: "bpl-graph bpl-svg", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    halo = svg.appendChild(drawn("path", { class: "bpl-halo" }));
    edges = [];
    layers.slice(1).forEach((units, k) => {
      const last = k === layers.length - 2;
      units.forEach(([u, top], j) => {
        layers[k].forEach(([left, y0], i) => {
          const x = left + size, y = y0 + size / 2, v = top + (last ? output : size) / 2, m = (x + u) / 2;
          const d = `M${x},${y}C${m},${y} ${m},${v} ${u},${v}`;
          const line = svg.appendChild(drawn("path", { d }));
          edges.push({ line, d, place: [k + 1, j, i], look: "", width: 0 });
        });
      });
    });
    for (const edge of edges) {
      const hit = svg.appendChild(drawn("path", { d: edge.d, class: "bpl-hit" }));
      hit.append(drawn("title", {}));
      hit.firstChild.textContent = named(edge.place);
      hit.addEventListener("click", () => choose(edge.place));
    }
    const text = (x, y, words, anchor = "start", kind = "tick") => {
      const node = svg.appendChild(drawn("text", { x, y, class: kind, "text-anchor": anchor }));
      node.textContent = words;
      return node;
    };
    scene.features.forEach((name, j) =>
      text(layers[0][j][0] - 8, layers[0][j][1] + size / 2 + 4, name, "end"));
    texts = layers.map((units, k) => {
      const last = k === layers.length - 1;
      const words = last ? "output: which class?" : k ? `hidden ${k}` : "features";
      return last ? text(units[0][0], units[0][1] - 10, words, "start", "title")
        : text(units[0][0] + size / 2, 14, words, "middle");
    });
    const [x, y] = layers.at(-1)[0];
    texts.loss = text(x, y + output + 18, "");
    const [cx, cy, cw, ch] = curve;
    svg.append(drawn("path", { class: "bpl-cell", d: `M${cx},${cy}v${ch}h${cw}` }));
    curves = ["train", "held"].map((kind) =>
      svg.appendChild(drawn("path", { class: `bpl-curve ${kind}` })));
    curves.push(svg.appendChild(drawn("path", { class: "bpl-cell" })));
    text(cx, cy + ch + 15, "loss by step: solid; on held out points: dashed");

    canvas = element("canvas", "", { "aria-hidden": "true" });
    const dense = window.devicePixelRatio || 1;
    canvas.width = width * dense;
    canvas.height = height * dense;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    pen = canvas.getContext("2d");
    pen.scale(dense, dense);

    const over = drawn("svg", { class: "bpl-graph bpl-svg", width, height, style: "position:absolute;left:0;top:0;pointer-events:none", "aria-hidden": "true" });
    const scale = output / (2 * scene.reach);
    const paths = ["", ""];
    scene.points.forEach(([a, b], n) => {
      if (Math.max(Math.abs(a), Math.abs(b)) > scene.reach) return;
      const u = x + (a + scene.reach) * scale, v = y + (scene.reach - b) * scale;
      paths[scene.classes[n]] += scene.classes[n]
        ? `M${u - 3},${v - 3}h6v6h-6z` : `M${u - 3},${v}a3,3 0 1,0 6,0a3,3 0 1,0 -6,0z`;
    });
    paths.forEach((d, kind) => over.append(drawn("path", { d, class: `bpl-point c${kind}` })));
    spot = [drawn("circle", { r: 7, class: "bpl-spot outer" }), drawn("circle", { r: 7, class: "bpl-spot" })];
    over.append(...spot);
    const aim = drawn("rect", { x, y, width: output, height: output, class: "bpl-aim", style: "pointer-events:all" });
    aim.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      const a = (event.clientX - box.left - x) / scale - scene.reach;
      const b = scene.reach - (event.clientY - box.top - y) / scale;
      model.send({ near: [a, b] });
    });
    over.append(aim);
    const focused = document.activeElement?.dataset?.does;
    board.replaceChildren(svg, canvas, over, ...buttons(size));
    board.style.width = `${width}px`;
    board.style.height = `${height}px`;
    if (focused) [...board.querySelectorAll("button")].find((b) => b.dataset.does === focused)?.focus();
    root.dataset.version = scene.version;
    mark();
    point();
    explain();
    paint();
  }

  // More and fewer units above each hidden layer.
  function buttons(size) {
    const made = [];
    const hidden = scene.widths.slice(1, -1);
    hidden.forEach((units, k) => {
      const middle = layers[k + 1][0][0] + size / 2;
      [["−", -1, units <= 1, -24], ["+", 1, units >= 8, 2]].forEach(([sign, by, off, at]) => {
        const does = `${by > 0 ? "One unit more" : "One unit fewer"} in hidden layer ${k + 1}`;
        const button = element("button", "", { type: "button", title: does, "aria-label": does, "data-does": does });
        button.textContent = sign;
        button.disabled = off;
        button.style.left = `${middle + at}px`;
        button.style.top = "19px";
        button.addEventListener("click", () =>
          model.send({ hidden: hidden.map((n, j) => (j === k ? n + by : n)) }));
        made.push(button);
      });
    });
    return made;
  }

  const called = (layer, unit) =>
    layer === 0 ? scene.features[unit]
      : layer === layers.length - 1 ? "output" : `h${layer}.${unit + 1}`;
  const named = ([layer, unit, input]) => `${called(layer - 1, input)} → ${called(layer, unit)}`;
  const same = (a, b) => a && b && a.every((v, i) => v === b[i]);

  function choose(place) {
    cursor = place;
    model.set("selected", place);
    model.save_changes();
    mark();
    told.textContent = `The gradient of ${named(place)} is written out below.`;
  }

  function press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== board) return;
    const places = edges.map((edge) => edge.place);
    const at = cursor ?? model.get("selected");
    const now = places.find((p) => same(p, at)) ?? places[0];
    const inLayer = (layer) => places.filter((p) => p[0] === layer);
    const here = inLayer(now[0]);
    const n = here.indexOf(now);
    let next = null;
    if (!cursor && event.key.startsWith("Arrow")) next = now;
    else if (event.key === "ArrowDown") next = here[Math.min(n + 1, here.length - 1)];
    else if (event.key === "ArrowUp") next = here[Math.max(n - 1, 0)];
    else if (event.key === "ArrowRight") next = inLayer(now[0] + 1)[0] ?? now;
    else if (event.key === "ArrowLeft") next = inLayer(now[0] - 1)[0] ?? now;
    else if (event.key === "Enter" && cursor) choose(cursor);
    else return;
    if (next) cursor = next;
    event.preventDefault();
    event.stopPropagation();
    mark();
    if (next) told.textContent = `${named(next)}; Enter writes out its gradient.`;
  }

  function mark() {
    const at = cursor ?? model.get("selected");
    const edge = edges?.find((e) => same(e.place, at));
    halo.setAttribute("d", edge?.d ?? "");
  }

  function point() {
    const p = scene.points[model.get("example")];
    if (!p) return;
    const { output } = scene.places;
    const [x, y] = layers.at(-1)[0];
    const place = (v) => Math.max(0, Math.min(1, v / (2 * scene.reach))) * output;
    for (const ring of spot) {
      ring.setAttribute("cx", x + place(p[0] + scene.reach));
      ring.setAttribute("cy", y + place(scene.reach - p[1]));
    }
  }

  function explain() {
    const back = model.get("backward");
    key.innerHTML = back
      ? '<span><i class="gpos"></i>dL/dw above 0</span><span><i class="gneg"></i>below 0</span>'
        + "<span>● dL/dh of an example above 0, ○ below; larger is more</span><span>thickness: magnitude within a layer</span>"
      : '<span><i class="pos"></i>weight above 0</span><span><i class="neg"></i>below 0</span>'
        + "<span>thickness: magnitude</span><span>maps: blue above 0, orange below, dark line at 0</span>"
        + "<span>■ class 1, ● class 0</span>";
    told.textContent = model.get("told");
  }

  // One picture for each frame of the screen at most.
  function ask() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (!seen) return;
      paint();
      if (came < 3) return;
      came = 0;
      model.send({ painted: Number(root.dataset.step ?? 0) });
    });
  }

  function arrived() {
    came += 1;
    ask();
  }

  function paint() {
    const view = model.get("frame");
    // A frame of the net before, while the new one is on its way.
    if (!svg || !view?.byteLength || view.getFloat32(0, true) !== scene.version) return;
    const { widths } = scene;
    const cells = GRID * GRID;
    const maps = widths.reduce((a, b) => a + b) * cells;
    const count = (view.byteLength - maps) / 4;
    const bytes = new Uint8Array(view.buffer, view.byteOffset + 4 * count, maps);
    // A copy, since the numbers may not lie on a multiple of four.
    const numbers = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + 4 * count));
    const [, step, loss, held, isBack, n, steps] = numbers;
    const sizes = edges.length;
    let at = 7 + sizes;
    let values = numbers.subarray(7, at);
    let batch, dots, slopes;
    if (isBack) {
      batch = numbers.subarray(at, at + n);
      slopes = numbers.subarray(at + n, at + n + sizes);
      at += n + sizes;
      const units = widths.slice(1).reduce((a, b) => a + b);
      dots = numbers.subarray(at, at + units * n);
      at += units * n;
      values = slopes;
    }
    lines(values, Boolean(isBack));
    draw(bytes, batch, dots, n);
    plot(numbers.subarray(at), steps, step);
    texts.loss.textContent = `step ${step} · loss ${loss.toPrecision(3)} · held out ${held.toPrecision(3)}`;
    root.dataset.frames = ++painted;
    root.dataset.step = step;
  }

  // With the stage of backward: which layers the error signal has come to.
  const reached = (layer) => layers.length - 1 - layer < model.get("stage");

  function lines(values, isBack) {
    const peak = {};
    edges.forEach(({ place: [k] }, e) => {
      peak[k] = Math.max(peak[k] ?? 0, Math.abs(values[e]) || 0);
    });
    edges.forEach((edge, e) => {
      const value = values[e];
      const [k] = edge.place;
      let look = `bpl-edge ${isBack ? "g" : "w"} ${value < 0 ? "neg" : "pos"}`;
      if (isBack && !reached(k)) look = "bpl-edge waits";
      const size = isBack ? (2.5 * Math.abs(value)) / (peak[k] || 1) : Math.abs(value);
      // In steps that can be seen: what stays the same is not drawn anew.
      const width = Math.min(6, Math.max(0.5, Math.round(0.8 + 3.8 * (size || 0)) / 2));
      if (look !== edge.look) edge.line.setAttribute("class", (edge.look = look));
      if (width !== edge.width) edge.line.style.strokeWidth = edge.width = width;
    });
    texts.forEach((node, k) => {
      const lit = isBack && k > 0 && reached(k);
      node.classList.toggle("lit", lit);
      if (k > 0 && k < layers.length - 1) node.textContent = lit ? `dL/dh ${k}` : `hidden ${k}`;
    });
  }

  function draw(bytes, batch, dots, n) {
    const { size, output, width, height } = scene.places;
    pen.clearRect(0, 0, width, height);
    let m = 0;
    let d = 0;
    layers.forEach((units, k) => {
      const last = k === layers.length - 1;
      const side = last ? output : size;
      const own = batch && k > 0 ? dots.subarray(d, d + units.length * n) : null;
      d += own ? own.length : 0;
      const top = own ? Math.max(...own.map(Math.abs)) || 1 : 1;
      units.forEach(([x, y], j) => {
        fill(bytes.subarray(m, m + GRID * GRID));
        m += GRID * GRID;
        pen.globalAlpha = batch && !last ? 0.35 : 1;
        pen.imageSmoothingEnabled = true;
        pen.drawImage(tile, x, y, side, side);
        pen.globalAlpha = 1;
        pen.strokeStyle = "#888";
        pen.lineWidth = 1;
        pen.strokeRect(x, y, side, side);
        if (own && reached(k)) signal(own.subarray(j * n, (j + 1) * n), batch, top, x, y, side);
      });
    });
  }

  function fill(map) {
    for (let p = 0; p < map.length; p++) {
      const v = map[p] - 128;
      const right = p % GRID < GRID - 1 ? map[p + 1] - 128 : v;
      const below = p + GRID < map.length ? map[p + GRID] - 128 : v;
      pixels[p] = v * right < 0 || v * below < 0 ? BORDER : colours[map[p]];
    }
    tilePen.putImageData(image, 0, 0);
  }

  // The error signal that came to a neuron, one dot an example.
  function signal(grads, batch, top, x, y, side) {
    const scale = side / (2 * scene.reach);
    const most = side > 100 ? 11 : 4.5;
    grads.forEach((g, b) => {
      const [u, v] = scene.points[batch[b]];
      if (Math.max(Math.abs(u), Math.abs(v)) > scene.reach) return;
      pen.beginPath();
      const r = 0.7 + (most - 0.7) * Math.sqrt(Math.abs(g) / top || 0);
      pen.arc(x + (u + scene.reach) * scale, y + (scene.reach - v) * scale, r, 0, 7);
      pen.lineWidth = 1.6;
      pen.fillStyle = pen.strokeStyle = g < 0 ? "#9c4f7d" : "#d55e00";
      if (g < 0) pen.stroke();
      else pen.fill();
    });
  }

  function plot(numbers, n, now) {
    const [x, y, w, h] = scene.places.curve;
    const steps = numbers.subarray(0, n);
    const all = numbers.subarray(n, 3 * n);
    const top = Math.max(1e-9, ...all.filter(Number.isFinite));
    const end = Math.max(steps[n - 1], now, 1);
    [0, 1].forEach((k) => {
      const line = all.subarray(k * n, (k + 1) * n);
      const spots = Array.from(line, (v, i) =>
        `${(x + (w * steps[i]) / end).toFixed(1)},${(y + h * (1 - (v <= top ? v / top : 1))).toFixed(1)}`);
      curves[k].setAttribute("d", `M${spots.join("L")}`);
    });
    curves[2].setAttribute("d", `M${x + (w * now) / end},${y}v${h}`);
  }

  // Out of sight nothing is drawn or answered; the kernel then pauses, and is woken here.
  const observer = new IntersectionObserver((entries) => sight(entries.at(-1).isIntersecting));
  function sight(now) {
    const before = seen;
    seen = now && document.visibilityState === "visible";
    if (seen && !before) {
      ask();
      model.send({ visible: true });
    }
  }
  const turned = () => sight(document.visibilityState === "visible");
  observer.observe(root);
  document.addEventListener("visibilitychange", turned);
  board.addEventListener("keydown", press);
  const listeners = {
    "change:scene": build, "change:frame": arrived, "change:selected": () => { cursor = null; mark(); },
    "change:example": point, "change:told": explain, "change:backward": explain, "change:stage": ask,
  };
  for (const [event, act] of Object.entries(listeners)) model.on(event, act);
  build();
  return () => {
    observer.disconnect();
    document.removeEventListener("visibilitychange", turned);
    for (const [event, act] of Object.entries(listeners)) model.off(event, act);
  };
}

export default { render };
