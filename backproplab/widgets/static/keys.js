// JupyterLab takes the arrow keys as its own; a focused slider of a lab keeps them.
export default {
  render({ el }) {
    const keep = ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true");
    const find = () => {
      const lab = el.closest(".bpl-widget");
      if (!lab) return requestAnimationFrame(find);
      lab.addEventListener("focusin", keep);
    };
    find();
  },
};
