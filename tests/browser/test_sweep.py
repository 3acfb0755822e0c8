"""Every notebook, every control: moved to its ends, chosen, pressed, answered.

Not one error output, console error or request that leaves the machine may come of it,
and no lab may say that it broke down. Milliseconds from key to picture are printed.
"""

import re
from statistics import median

import notebook_copies as copies
import pytest
from lab import note

import backproplab as bp
from backproplab.exercises.derivation import assigned

pytestmark = pytest.mark.browser

SECONDS = 20
LEFT_ALONE = re.compile("engine|cluster|train|run all|race", re.I)  # long work
IDLE = """async () => {
  const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  await pause(20);
  await kernel.requestKernelInfo(); // answered after all that the page has asked
  await pause(5);
  return kernel.status === 'idle';
}"""
WATCH = """([lab, slider]) => {
  const own = slider.closest('.widget-slider') ?? slider;
  window.took = new Promise((done) => {
    let start;
    const seen = new MutationObserver((all) => {
      if (start === undefined || all.every((m) => own.contains(m.target))) return;
      seen.disconnect();
      requestAnimationFrame(() => done(performance.now() - start));
    });
    seen.observe(lab, { subtree: true, childList: true, characterData: true,
                        attributes: true });
    slider.addEventListener('keydown', () => { start = performance.now(); },
                            { capture: true, once: true });
    window.giveUp = () => { seen.disconnect(); done(null); };
  });
}"""
# The kernel is idle when this is asked: what has not come soon will not come.
TOOK = "async () => { setTimeout(giveUp, 150); return await took; }"


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    for name in copies.NAMES:
        copies.write(copies.shipped(name), folder / f"{name}.ipynb")
    return serve(folder)


@pytest.mark.parametrize("name", copies.NAMES)
def test_no_control_of_a_notebook_breaks_anything(server, name):
    page = server.open(f"{name}.ipynb", width=1024, height=6000)
    seconds = page.run_all()
    for theme in page.themes():  # the other one remains, for the next notebook, too
        page.theme(theme)
        page.screenshot(f"notebook_{name}_{theme}")

    for lab in page.tab.locator(".jp-OutputArea-output > .bpl-widget").all():
        lab.scroll_into_view_if_needed()
        if "bpl-card" in (lab.get_attribute("class") or ""):
            answer(page, lab)
            continue
        kind = what(lab)
        times = [t for s in sliders(lab) for t in to_its_ends(page, lab, s)]
        if times:
            note(f"{name}, {kind}: {median(times):.0f} ms, every slider to its ends")
        choose(page, lab)
        press(page, lab)
        settle(page)
        assert not lab.get_by_text("This lab broke down").is_visible(), kind

    assert [] == page.errors()
    assert seconds < SECONDS
    page.close()


def what(lab):
    """Name a lab by the call that stands in its cell."""
    cell = lab.locator("xpath=ancestor::div[contains(@class, 'jp-CodeCell')][1]")
    source = cell.locator(".cm-content").first.inner_text()
    calls = re.findall(r"bp\.widgets\.(\w+)", source)
    return calls[-1] if calls else "lab"


def sliders(lab):
    return [s for s in lab.get_by_role("slider").all() if s.is_visible()]


def settle(page):
    page.tab.wait_for_function(IDLE, polling=20, timeout=60_000)


def to_its_ends(page, lab, slider):
    """Move a slider a step, to both ends and a step back; give the milliseconds."""
    if slider.is_disabled() or slider.get_attribute("aria-disabled") == "true":
        return []
    found = []
    for key in ("ArrowRight", "End", "ArrowLeft", "Home"):
        handles = [lab.element_handle(), slider.element_handle()]
        page.tab.evaluate(WATCH, handles)
        slider.press(key)
        settle(page)
        found.append(page.tab.evaluate(TOOK))
    return [t for t in found if t is not None]


def choose(page, lab):
    """Choose each option of each list, tick each box and untick it."""
    for chooser in lab.locator("select").all():
        if not chooser.is_visible() or chooser.is_disabled():
            continue
        begun = chooser.input_value()
        for option in chooser.locator("option").all_inner_texts():
            chooser.select_option(label=option)
            settle(page)
        chooser.select_option(begun)
        settle(page)
    for box in lab.get_by_role("checkbox").all():
        if box.is_visible() and box.is_enabled():
            box.click()
            settle(page)
            box.click()
            settle(page)


def press(page, lab):
    """Press each button once; a graph is stepped to its end and back by this."""
    for button in lab.get_by_role("button").all():
        if not button.is_visible() or not button.is_enabled():
            continue
        says = button.get_attribute("aria-label") or button.inner_text()
        if not LEFT_ALONE.search(says):
            button.click()
            settle(page)


def answer(page, card):
    """Answer a card wrong, then right."""
    title = card.locator("h4").first.inner_text()
    right = right_formulas(title)
    for formulas, sign in (dict.fromkeys(right, "1"), "✗"), (right, "✓"):
        for name, formula in formulas.items():
            card.get_by_label(f"{name} =", exact=True).fill(formula)
        card.get_by_role("button", name="Check").click()
        settle(page)
        said = card.get_by_role("status").first.inner_text()
        assert {sign} == set(re.findall("[✓✗]", said)), said


def right_formulas(title):
    """Find the reference answer of the card with this title."""
    title = title.lower().replace("\n", "")
    for id in bp.exercises.names():
        field, _, rest = id.partition(".")
        if title == rest.replace("_", " ") + field:
            code = bp.exercises.get(id).problem.answer_code
            lines = dict(line.split(" = ", 1) for line in code.splitlines())
            return {n: lines[n] for n in assigned(code) if n != "answer"}
    return {"dx": "dy * g + dy * x * g * (1 - g)"}  # the authoring notebook's own
