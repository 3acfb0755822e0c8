import notebook_copies as copies
import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    for name in ("00_start", "01_chain_rule", "02_backprop_by_hand"):
        copies.write(copies.shipped(name), folder / f"{name}.ipynb")
        copies.write(copies.solved(name), folder / f"{name}_solved.ipynb")
    return serve(folder)


def place(name, id):
    """The number of a code cell among the code cells."""
    return [c["id"] for c in copies.code_cells(copies.shipped(name))].index(id)


def said(page, name, id):
    return page.output(place(name, id)).inner_text()


def test_training_shows_a_full_bar(server):
    page = server.open("00_start.ipynb", height=6000)
    page.run_all()

    bar = page.output(place("00_start", "train")).locator(
        "[role=progressbar], .progress-bar"
    )

    bar.first.wait_for(state="attached")
    assert "100%" in said(page, "00_start", "train")
    assert "digits are read correctly" in said(page, "00_start", "test")
    page.close()


def test_a_step_by_key_button_and_slider_moves_the_graph(server):
    page = server.open("01_chain_rule.ipynb")
    page.run_all()
    graph = page.output(place("01_chain_rule", "fan-graph")).locator(".bpl-lab")
    count = graph.locator(".bpl-count")
    slider = graph.get_by_role("slider")
    graph.scroll_into_view_if_needed()
    assert "step 0 of 4" == count.inner_text()

    slider.press("ArrowRight")
    graph.get_by_text("step 1 of 4").wait_for()
    graph.get_by_role("button", name="forward").first.click()
    graph.get_by_text("step 2 of 4").wait_for()
    slider.press("End")
    graph.get_by_text("step 4 of 4").wait_for()
    page.screenshot("notebook_graph_stepped", graph)
    assert [] == page.errors()
    page.close()


def test_verdicts_are_read_in_the_page(server):
    page = server.open("01_chain_rule_solved.ipynb")
    page.run_all()

    page.output(place("01_chain_rule", "hand-w1")).get_by_role("status").wait_for()

    assert "6 of 6 steps are right." in said(page, "01_chain_rule", "hand-w1")
    assert "the broken link is a." in said(page, "01_chain_rule", "blame")
    assert "correct" in said(page, "01_chain_rule", "two")
    page.close()


def enter(page, name, id, text):
    """Replace a cell's source by typing, and run it."""
    cell = page.tab.locator(".jp-CodeCell").nth(place(name, id))
    cell.locator(".cm-content").click()
    page.tab.keyboard.press("ControlOrMeta+a")
    page.tab.keyboard.insert_text(text)
    page.tab.keyboard.press("Shift+Enter")


def attempts(panel, problem):
    """How many attempts the progress panel counts."""
    about = panel.locator(f"[aria-label^='{problem}:']").get_attribute("aria-label")
    return int(about.split(": ")[1].split()[1])


def kill_kernel(page):
    """Let the kernel kill itself, and wait until the server has started a new one."""
    page.tab.evaluate(
        """() => void jupyterapp.shell.currentWidget.sessionContext.session.kernel
          .requestExecute({ code: "import os; os.kill(os.getpid(), 9)" })"""
    )
    page.tab.get_by_role("dialog").get_by_role("button", name="Ok").click()
    page.tab.wait_for_function(
        """() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel
          ?.status === "idle\""""
    )


def test_a_killed_kernel_takes_neither_answers_nor_progress(server):
    name = "02_backprop_by_hand"
    page = server.open(f"{name}.ipynb")
    page.run_all()
    panel = page.output(place(name, "progress"))
    before = attempts(panel, "mlp.steps")
    line = 'dpicked = {}\nmine["picked"] = dpicked\nq.check(mine)["picked"]'
    picked = page.output(place(name, "picked"))
    enter(page, name, "picked", line.format("np.full(len(x), -1.0)"))
    picked.get_by_text("sum-not-mean").wait_for()
    page.screenshot("notebook_step_wrong", picked)
    enter(page, name, "picked", line.format("np.full(len(x), -1 / len(x))"))
    picked.get_by_text("correct").wait_for()
    page.tab.keyboard.press("ControlOrMeta+s")

    kill_kernel(page)
    page.run_all()

    assert "correct" in said(page, name, "picked")
    assert attempts(panel, "mlp.steps") >= before + 2
    page.screenshot("notebook_progress", panel)
    page.theme("dark")
    page.screenshot("notebook_progress_dark", panel)
    page.theme("light")
    assert [] == page.errors()
    page.close()


def test_a_card_is_answered_by_keyboard_and_survives_a_dead_kernel(server):
    page = server.open("01_chain_rule.ipynb")
    page.run_all()
    card = page.tab.locator(".bpl-widget.bpl-card")
    card.scroll_into_view_if_needed()
    first, second = (card.get_by_label(label) for label in ("dh =", "dw ="))

    first.fill("dy * cos(h)")
    second.fill("dh * (x")
    card.get_by_text("This bracket is never closed.").wait_for()
    second.fill("dh * x")
    second.press("Enter")
    card.get_by_text("the broken link is h").wait_for()
    page.screenshot("notebook_card_wrong", card)
    first.fill("dy * (cos(h) + 2*h)")
    second.press("Tab")
    page.tab.keyboard.press("Enter")
    card.get_by_text("2 of 2 steps are right.").wait_for()
    page.theme("dark")
    page.screenshot("notebook_card_right_dark", card)
    page.theme("light")

    page.tab.evaluate(
        "async () => jupyterapp.shell.currentWidget.sessionContext.restartKernel()"
    )
    page.run_all()

    page.tab.wait_for_function(
        "e => e.value === 'dy * (cos(h) + 2*h)'", arg=first.element_handle()
    )
    panel = page.output(place("01_chain_rule", "progress"))
    panel.get_by_label("chain.fan_out: solved").wait_for()
    assert [] == page.errors()
    page.close()
