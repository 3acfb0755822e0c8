// Labs by keyboard and by ear. JupyterLab takes many keys as its own: what has the focus
// in a lab keeps them, and Escape gives the focus back to the cell.
// A slider is called what its description says, and says the value that is shown beside
// it; a chosen word says that it is chosen; words that change are read out.
function heard(lab) {
  const say = (part, name, text) => {
    if (part.getAttribute(name) !== text) part.setAttribute(name, text);
  };
  say(lab, "aria-busy", String(lab.classList.contains("bpl-computing")));
  for (const slider of lab.querySelectorAll(".widget-slider [role=slider]")) {
    const own = slider.closest(".widget-slider");
    const name = own.querySelector(".widget-label")?.textContent;
    const value = own.querySelector(".widget-readout")?.textContent;
    if (name) say(slider, "aria-label", name);
    if (value) say(slider, "aria-valuetext", value);
    const off = slider.closest("[disabled]") !== null;
    say(slider, "aria-disabled", String(off));
    const typed = own.querySelector(".widget-readout[contenteditable]");
    if (typed && name) {
      say(typed, "role", "textbox");
      say(typed, "aria-label", `${name}, as a number`);
    }
  }
  for (const words of lab.querySelectorAll(".widget-toggle-buttons")) {
    say(words, "role", "group");
    const name = words.querySelector(".widget-label")?.title;
    if (name && name !== "null") say(words, "aria-label", name);
    for (const word of words.querySelectorAll("button"))
      say(word, "aria-pressed", String(word.classList.contains("mod-active")));
  }
  // What is put into a region is read out if the region was there before.
  for (const said of lab.querySelectorAll("[class$='-content'] > :is([role=status], [aria-live])"))
    say(said.parentElement, "aria-live", "polite");
}

// A picture or table that is larger than its place can be scrolled by keyboard, and fades
// where it goes on.
const LARGE =
  ".bpl-stage, .bpl-ground, .bpl-pressed, .bpl-flow, .bpl-flow > .widget-html, " +
  ".widget-html-content:has(> .bpl-panels, > .bpl-graph > table)";
const REGION = { role: "region", "aria-label": "larger than its frame: arrow keys scroll", tabindex: 0 };

function scrolls(lab) {
  for (const part of lab.querySelectorAll(LARGE)) {
    const right = part.scrollWidth - part.clientWidth;
    const below = part.scrollHeight - part.clientHeight;
    const can = getComputedStyle(part).overflowX !== "visible" && Math.max(right, below) > 3;
    part.classList.toggle("bpl-scrolls", can);
    part.classList.toggle("bpl-right", can && right - part.scrollLeft > 3);
    part.classList.toggle("bpl-below", can && below - part.scrollTop > 3);
    if (part.matches("[role=group]")) continue; // the graph has a name of its own
    for (const [name, value] of Object.entries(REGION))
      can ? part.setAttribute(name, value) : part.removeAttribute(name);
  }
}

export default {
  render({ el }) {
    let waits = 100;
    let asked = 0;
    let lab = null;
    const again = () => {
      asked ||= requestAnimationFrame(() => {
        asked = 0;
        heard(lab);
        scrolls(lab);
      });
    };
    const changes = new MutationObserver(again);
    const sizes = new ResizeObserver(again);
    const find = () => {
      lab = el.closest(".bpl-widget");
      if (!lab) return waits-- > 0 ? setTimeout(find, 50) : undefined;
      again();
      setTimeout(again, 500);
      const filter = ["class", "disabled", "aria-valuetext"];
      changes.observe(lab, { subtree: true, attributeFilter: filter });
      sizes.observe(lab);
      lab.addEventListener("scroll", again, { capture: true, passive: true });
      lab.addEventListener("focusin", ({ target }) => {
        target.setAttribute("data-lm-suppress-shortcuts", "true");
        again();
      });
      lab.addEventListener("keydown", (event) => {
        const cell = lab.closest(".jp-Cell");
        if (event.key !== "Escape" || !cell) return;
        event.stopPropagation();
        cell.focus();
      });
    };
    find();
    return () => {
      changes.disconnect();
      sizes.disconnect();
    };
  },
};
