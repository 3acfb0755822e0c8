// A picture whose marked parts can be pressed: by click, Enter or space; the arrow keys
// go from part to part. Python is told which, and sends the next picture.
export default {
  render({ model, el }) {
    el.classList.add("bpl-pressed");
    const parts = () => [...el.querySelectorAll("[data-press]")];
    const show = () => {
      const held = el.contains(document.activeElement)
        ? document.activeElement.dataset?.press
        : undefined;
      el.innerHTML = model.get("picture");
      if (held !== undefined) el.querySelector(`[data-press="${held}"]`)?.focus();
    };
    const press = (part) => model.send({ press: Number(part.dataset.press) });
    el.addEventListener("click", (event) => {
      const part = event.target.closest("[data-press]");
      if (part) press(part);
    });
    el.addEventListener("keydown", (event) => {
      const part = event.target.closest("[data-press]");
      if (!part) return;
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) parts()[parts().indexOf(part) + by]?.focus();
      else if (event.key === "Enter" || event.key === " ") press(part);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    model.on("change:picture", show);
    show();
    return () => model.off("change:picture", show);
  },
};
