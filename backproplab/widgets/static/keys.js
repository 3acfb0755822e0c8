// JupyterLab takes the arrow keys as its own; a focused slider of a lab keeps them.
// And each slider is called what its description says, for those who hear the page.
function named(lab) {
  for (const slider of lab.querySelectorAll("[role=slider]:not([aria-label])")) {
    const text = slider.closest(".widget-slider")?.querySelector(".widget-label");
    if (text) slider.setAttribute("aria-label", text.textContent);
  }
}

export default {
  render({ el }) {
    let waits = 100;
    const find = () => {
      const lab = el.closest(".bpl-widget");
      if (!lab) return waits-- > 0 ? setTimeout(find, 50) : undefined;
      named(lab);
      setTimeout(named, 500, lab);
      lab.addEventListener("focusin", ({ target }) => {
        target.setAttribute("data-lm-suppress-shortcuts", "true");
        named(lab);
      });
    };
    find();
  },
};
