// Labs by keyboard and by ear. JupyterLab takes many keys as its own: what has the focus
// in a lab keeps them, and Escape gives the focus back to the cell.
// A slider is called what its description says, and says the value that is shown beside
// it; a chosen word says that it is chosen; words that change are read out.
function heard(lab) {
  const say = (part, name, text) => {
    if (part.getAttribute(name) !== text) part.setAttribute(name, text);
  };
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
    if (name) say(words, "aria-label", name);
    for (const word of words.querySelectorAll("button"))
      say(word, "aria-pressed", String(word.classList.contains("mod-active")));
  }
  // What is put into a region is read out if the region was there before.
  for (const said of lab.querySelectorAll("[class$='-content'] > :is([role=status], [aria-live])"))
    say(said.parentElement, "aria-live", "polite");
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
      });
    };
    const changes = new MutationObserver(again);
    const find = () => {
      lab = el.closest(".bpl-widget");
      if (!lab) return waits-- > 0 ? setTimeout(find, 50) : undefined;
      again();
      setTimeout(again, 500);
      const filter = ["class", "disabled", "aria-valuetext"];
      changes.observe(lab, { subtree: true, attributeFilter: filter });
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
    return () => changes.disconnect();
  },
};
