"""The pages of a made-up run with hostile names, in a browser cut off from every network."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import browser
from browser import WIDTHS, downloaded, opened
from fake_names import CELL_TYPES, CELLS_PER_SAMPLE, EVIL_SAMPLE, GENES, LONG, SAMPLES, SCRIPT
from fake_run import build_pages, make_run, write_provenance
from map_reading import NAMES, PIXELS, SVG, colour_map, dots, texts

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as one:
        yield one


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("run"))
    write_provenance(folder)
    return build_pages(folder, SAMPLES)


@pytest.fixture(scope="module")
def files(root: Path) -> list[Path]:
    return [root / "report/index.html", *(root / f"samples/{s}/qc.html" for s in SAMPLES)]


@pytest.fixture(scope="module")
def index(chromium, root: Path):
    """The index on a desk, for tests that leave it as it was."""
    with opened(chromium, root / "report/index.html") as one:
        yield one


@pytest.fixture
def fresh(chromium, root: Path):
    """The index on a desk, for tests that change it."""
    with opened(chromium, root / "report/index.html") as one:
        browser.unfold(one.page)
        yield one
        one.is_quiet()


def rows_shown(page, table: str) -> list[list[str]]:
    """Return what a table shows, heading first, as a reader would copy it."""
    return page.evaluate(
        """(table) => [...document.getElementById(table).rows].filter((row) => !row.hidden)
        .map((row) => [...row.cells].map((cell) => cell.innerText.replace(/\\s+/g, " ").trim()))""",
        table,
    )


def paint(page) -> None:
    """Wait until the browser has drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_open_offline_without_a_complaint_and_fit(chromium, files, width):
    for file in files:
        with opened(chromium, file, width=width) as one:
            browser.fits(one.page, width)
            browser.unfold(one.page)
            paint(one.page)
            browser.fits(one.page, width)
            one.is_quiet()


def test_hostile_names_are_shown_and_never_run(chromium, files, index):
    text = re.sub(r"\s+", " ", index.page.inner_text("body"))
    wild = next(name for name in CELL_TYPES if "<img" in name)
    for name in (SCRIPT, EVIL_SAMPLE, LONG.replace("_", " "), wild, GENES[5]):
        assert name in text
    assert SCRIPT in index.page.title()
    for file in files:
        with opened(chromium, file) as one:
            assert one.page.locator("img").count() == 0
            assert (
                one.page.locator("b", has_text="G").filter(has_text=re.compile("^G$")).count() == 0
            )
            one.is_quiet()


def test_links_of_hostile_samples_lead_to_their_pages(fresh):
    for sample in SAMPLES:
        fresh.page.locator("#samples-table a", has_text=sample).first.click()
        assert sample in fresh.page.inner_text("h1")
        fresh.page.go_back()
    fresh.requests[1:] = [url for url in fresh.requests[1:] if not url.startswith("file:")]


def test_map_is_recoloured_by_every_column(fresh):
    page = fresh.page
    page.uncheck("#map-labels")
    options = page.locator("#map-colour option").all_inner_texts()
    assert {"lineage", "sample", "cluster", "Kitl"} <= set(options)
    pictures, legends = {}, {}
    for number, option in enumerate(options):
        page.select_option("#map-colour", index=number)
        page.wait_for_function(
            "(name) => document.getElementById('map-canvas').ariaLabel.endsWith(` by ${name}`)",
            arg=option,
        )
        pictures[option] = page.evaluate("document.getElementById('map-canvas').toDataURL()")
        legends[option] = page.inner_text("#map-legend")
    assert pictures["lineage"] != pictures["sample"] != pictures["Kitl"] != pictures["lineage"]
    assert len({legends[name] for name in ("lineage", "sample", "cluster", "Kitl")}) == 4
    assert all(sample in legends["sample"] for sample in SAMPLES)


def test_map_tells_the_cell_under_the_pointer(fresh):
    page = fresh.page
    page.uncheck("#map-labels")
    page.get_by_role("button", name="stroma", exact=False).first.click()
    colours = page.evaluate(PIXELS)
    assert len(colours) >= 1
    places = sorted(colours[0][1])
    x, y = places[len(places) // 2]
    ratio = page.evaluate("devicePixelRatio")
    page.locator("#map-canvas").hover(position={"x": x / ratio, "y": y / ratio})
    told = page.inner_text("#map-hover")
    assert "lineage: stroma" in told
    assert re.search(r"sample: s\d", told)
    page.mouse.move(2, 2)
    assert page.locator("#map-hover").is_hidden()


def test_map_answers_to_the_keyboard(fresh):
    page = fresh.page
    page.focus("#map-canvas")
    state = "document.getElementById('map-canvas').toDataURL()"
    seen = [page.evaluate(state)]
    for key in ("+", "ArrowLeft", "0"):
        page.keyboard.press(key)
        seen.append(page.evaluate(state))
    assert seen[0] != seen[1] != seen[2] and seen[3] == seen[0]


def in_order(texts: list[str], values: list[str], *, falling: bool) -> bool:
    """Tell whether a column is sorted: what is missing last, numbers by size."""
    missing = [text in ("", "–") for text in texts]
    if missing != sorted(missing):
        return False
    there = [value for value, gone in zip(values, missing, strict=True) if not gone]
    try:
        numbers = [float(value) for value in there]
    except ValueError:
        return True  # words: their order is the browser's, and asked below
    return numbers == sorted(numbers, reverse=falling)


def test_tables_sort_by_every_column(chromium, files):
    n_numeric = 0
    for file in files[:3]:
        with opened(chromium, file) as one:
            browser.unfold(one.page)
            n_numeric += sort_all(one.page)
            one.is_quiet()
    assert n_numeric > 50


def sort_all(page) -> int:
    """Sort every table of a page by every column, both ways; return how many are numbers."""
    found = page.evaluate(
        """() => [...document.querySelectorAll("thead button")].flatMap((button) => {
          const heading = button.closest("th");
          const rows = () => [...heading.closest("table").tBodies[0].rows];
          const read = () => rows().map((row) => row.cells[heading.cellIndex]);
          const before = rows().length;
          return ["ascending", "descending"].map((way) => {
            button.click();
            return { way, said: heading.ariaSort, before, after: rows().length,
              numeric: heading.classList.contains("n"), what: heading.innerText,
              texts: read().map((cell) => cell.textContent.trim()),
              values: read().map((cell) => cell.dataset.value ?? "") };
          });
        })"""
    )
    for one in found:
        assert one["said"] == one["way"] and one["before"] == one["after"], one["what"]
        assert in_order(one["texts"], one["values"], falling=one["way"] == "descending"), one
    return sum(one["numeric"] for one in found)


def test_words_are_sorted_as_a_reader_would(fresh):
    page = fresh.page
    button = page.locator("#cluster-types-table thead button", has_text="Runner-up")
    button.click()
    column = rows_shown(page, "cluster-types-table")[0].index("Runner-up")
    assert [row[column] for row in rows_shown(page, "cluster-types-table")[1:]] == [
        "B",
        "erythroid",
        "HSPC",
        "T",
        "–",
    ]
    button.click()
    falling = [row[column] for row in rows_shown(page, "cluster-types-table")[1:]]
    assert falling == ["T", "HSPC", "erythroid", "B", "–"]


def test_search_and_order_are_what_a_table_saves(fresh):
    page = fresh.page
    name = "contrasts-table"
    total = rows_shown(page, name)
    assert len(total) > 3
    page.fill(f"input[data-filter={name}]", "kitl")
    found = rows_shown(page, name)[1:]
    assert 0 < len(found) < len(total) - 1
    assert all("Kitl" in " ".join(row) for row in found)
    assert page.inner_text(f"#{name}-shown").split()[0] == str(len(found))
    page.locator(f"#{name} thead button", has_text="log2").click()
    file, content = downloaded(page, page.locator(f"#{name}-caption .table-tools button"))
    assert file == f"{name}.tsv"
    saved = [line.split("\t") for line in content.decode("utf-8").splitlines()]
    assert saved == rows_shown(page, name)
    page.fill(f"input[data-filter={name}]", "")
    assert len(rows_shown(page, name)) == len(total)
    page.fill(f"input[data-filter={name}]", "no such name")
    assert len(rows_shown(page, name)) == 1


def test_every_table_can_be_saved(chromium, files):
    for file in files[:2]:
        with opened(chromium, file) as one:
            browser.unfold(one.page)
            boxes = one.page.locator(".scroll")
            assert boxes.count() > 2
            for number in range(boxes.count()):
                box = boxes.nth(number)
                button = box.locator("xpath=preceding-sibling::*[1]").locator("xpath=.//button")
                if not button.count():  # a hint stands between
                    button = box.locator("xpath=preceding-sibling::*[2]").locator("xpath=.//button")
                name, content = downloaded(one.page, button)
                lines = content.decode("utf-8").splitlines()
                assert re.fullmatch(r"[\w.-]+\.tsv", name)
                assert len(lines) == box.locator("tr").count()
                assert len({line.count("\t") for line in lines}) == 1
            one.is_quiet()


def test_figures_are_saved_as_svg_and_png(fresh):
    page = fresh.page
    figures = page.locator("figure:has(button[data-save])")
    assert figures.count() > 5
    for number in range(figures.count()):
        figure = figures.nth(number)
        name = figure.get_attribute("id").removeprefix("figure-")
        file, content = downloaded(page, figure.locator("[data-save=svg]"))
        drawing = ElementTree.fromstring(content)
        assert file == f"{name}.svg" and drawing.tag == f"{SVG}svg"
        file, content = downloaded(page, figure.locator("[data-save=png]"))
        width, height = (float(x) for x in drawing.get("viewBox").split()[2:])
        assert file == f"{name}.png" and content.startswith(PNG)
        size = (int.from_bytes(content[16:20]), int.from_bytes(content[20:24]))
        assert size == (int(3 * width), int(3 * height))


def test_a_saved_map_has_its_title_and_legend(fresh):
    page = fresh.page
    canvas = page.locator("#map-canvas").bounding_box()
    n_cells = len(SAMPLES) * CELLS_PER_SAMPLE
    for name, told in (("cell type", [SCRIPT[:15], "B"]), ("sample", SAMPLES), ("Kitl", ["> 0"])):
        colour_map(page, name)
        file, content = downloaded(page, page.locator("#map-svg"))
        said = texts(content)
        assert file == f"umap_{name.replace(' ', '_')}.svg"
        assert sum(dots(content).values()) == n_cells
        assert said[0].startswith(f"Coloured by {name}")
        assert said[1].startswith(f"UMAP of {n_cells} cells")
        assert all(any(one.startswith(each) for one in said) for each in told)
        assert max(map(len, said[2:])) < 50  # a name of 300 letters is cut
        width, height = (float(one) for one in svg_size(content))
        file, content = downloaded(page, page.locator("#map-png"))
        assert file == f"umap_{name.replace(' ', '_')}.png" and content.startswith(PNG)
        size = [int.from_bytes(content[at : at + 4]) for at in (16, 20)]
        assert width > canvas["width"] + 200 and height > canvas["height"] + 40
        assert size[0] / size[1] == pytest.approx(width / height, rel=0.01)


def svg_size(content: bytes) -> list[str]:
    return ElementTree.fromstring(content).get("viewBox").split()[2:]


def test_a_saved_map_holds_what_is_singled_out(fresh):
    page = fresh.page
    button = page.locator("#map-legend button", has_text="neutrophil")
    button.click()
    rgb = re.findall(r"\d+", button.locator("i").evaluate("(one) => one.style.background"))
    content = downloaded(page, page.locator("#map-svg"))[1]
    found = dots(content)
    assert len(found) == 2
    own = "#" + "".join(f"{int(part):02x}" for part in rgb)
    assert found[own] == int(button.inner_text().split()[-1])
    assert "all others" in texts(content)


def test_the_legend_says_what_is_shown_and_its_unit(fresh):
    page = fresh.page
    colour_map(page, "Kitl")
    told = page.inner_text("#map-legend")
    assert told.startswith("Kitl, log1p of counts per 10,000")
    assert re.search(r"> 0\s+≥ \d\.\d\b", told) and re.search(r"\n0\s+\d+ cells", told)
    colour_map(page, "Cxcl12")  # one dataset does not measure it
    assert re.search(r"not measured\s+150 cells", page.inner_text("#map-legend"))
    colour_map(page, "cell type")
    assert page.inner_text("#map-legend").split("\n")[0] == "cell type"
    longest = page.locator("#map-legend button", has_text="x" * 60)
    assert longest.bounding_box()["height"] < 80
    assert len(longest.locator("span").first.get_attribute("title")) > 300


def test_the_search_finds_a_column_by_keyboard(fresh):
    page = fresh.page
    shown = "() => document.getElementById('map-canvas').ariaLabel.split(' by ')[1]"
    is_shown = f"(name) => ({shown})() === name"
    chosen = "document.getElementById('map-colour').selectedOptions[0].textContent"
    n_options = page.locator("#map-colour option").count()
    page.focus("#map-search")
    page.keyboard.type("cl")
    options = page.locator("#map-colour option").all_inner_texts()
    assert {"cluster", "Cxcl12"} <= set(options) and len(options) < n_options / 2
    assert page.inner_text("#map-found") == f"{len(options) - 1} of {n_options}"
    assert page.evaluate(shown) == "lineage"
    assert page.evaluate(chosen) == f"{len(options) - 1} found: choose one"
    page.keyboard.press("Enter")  # the first that begins so
    page.wait_for_function(is_shown, arg="cluster")
    assert page.evaluate(chosen) == "cluster"
    page.fill("#map-search", "KITL")
    page.wait_for_function(is_shown, arg="Kitl")
    page.fill("#map-search", "no such gene")
    assert page.inner_text("#map-found") == f"0 of {n_options}"
    page.fill("#map-search", "")
    assert page.locator("#map-colour option").count() == n_options
    assert page.evaluate(chosen) == "Kitl"


def test_names_stand_on_each_large_island_and_never_on_each_other(index):
    placed = index.page.evaluate(NAMES)
    assert [name for name, _, _ in placed] == ["ring", "two islands", "two islands"]
    (_, x, y), first, second = placed
    assert ((x - 500) ** 2 + (y - 300) ** 2) ** 0.5 == pytest.approx(200, abs=5)  # on the ring
    assert first[1:] == pytest.approx([200, 800], abs=15)
    assert second[1:] == pytest.approx([800, 800], abs=15)


def test_only_places_are_named_on_the_map(fresh):
    page = fresh.page
    for name, said in (
        ("cluster", "names"),
        ("sample", "lineage names"),
        ("Kitl", "lineage names"),
    ):
        colour_map(page, name)
        assert page.inner_text("#map-names") == said
        named = set(texts(downloaded(page, page.locator("#map-svg"))[1], anchor="middle"))
        assert named <= set("0123456789") if name == "cluster" else "stroma" in named
        assert named and not named & set(SAMPLES)


def test_methods_are_copied_with_their_references(fresh):
    page = fresh.page
    page.locator("[data-copy=methods-text]").click()
    page.wait_for_selector("text=Copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert len(text) > 1000
    cited = set(re.findall(r"\[(\d+)\]", text.split("References")[0]))
    listed = set(re.findall(r"^\[(\d+)\]", text.split("References")[1], flags=re.MULTILINE))
    assert cited and cited <= listed


def test_keyboard_reaches_everything_and_shows_where_it_is(chromium, files):
    for file in files[:2]:
        with opened(chromium, file) as one:
            browser.unfold(one.page)
            left, unmarked = browser.tab_through(one.page)
            assert left == [], file
            assert unmarked == [], file


def test_a_figure_wider_than_the_page_can_be_shown_whole(chromium, root):
    with opened(chromium, root / "report/index.html", width=390) as one:
        drawing = one.page.locator("figure .drawing.cut").first.element_handle()
        figure = drawing.query_selector("xpath=..")
        width = "(box) => box.scrollWidth - box.clientWidth"
        assert drawing.evaluate(width) > 50
        button = figure.query_selector(".hint button")
        button.click()
        assert drawing.evaluate(width) <= 1
        assert figure.query_selector(".hint").inner_text() == "Show it large"
        button.click()
        assert drawing.evaluate(width) > 50
        assert figure.query_selector(".hint").inner_text().startswith("Scroll sideways")
        one.is_quiet()


def test_keys_press_what_they_reach(chromium, root):
    with opened(chromium, root / "report/index.html") as one:
        page = one.page
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**#main")
        heading = page.locator("#samples-table thead th").first
        heading.locator("button").focus()
        for key, way in (("Enter", "ascending"), ("Space", "descending")):
            page.keyboard.press(key)
            assert heading.get_attribute("aria-sort") == way
        folded = page.locator("details").first
        folded.locator("summary").focus()
        page.keyboard.press("Enter")
        assert folded.evaluate("(one) => one.open")


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_no_serious_fault(chromium, files, width):
    for file in files[:3]:
        with opened(chromium, file, width=width) as one:
            browser.unfold(one.page)
            assert browser.serious_faults(one.page) == [], file


def test_print_shows_the_static_map_and_what_is_folded(chromium, root):
    with opened(chromium, root / "report/index.html", width=768, print_media=True) as one:
        page = one.page
        assert page.locator(".map-print svg").is_visible()
        assert not page.locator("#map-canvas").is_visible()
        assert not page.locator("nav.contents").is_visible()
        assert page.locator("details:not([open])").count() > 3
        for table in page.locator("details table").all():
            assert table.bounding_box()["height"] > 10
        assert page.pdf()[:5] == b"%PDF-"
        one.is_quiet()


def test_without_scripts_nothing_essential_is_lost(chromium, root):
    with opened(chromium, root / "report/index.html", javascript=False) as one:
        page = one.page
        assert page.locator(".map-print svg").is_visible()
        assert page.locator("figure svg").count() > 5
        for number in range(page.locator("figure .drawing").count()):
            assert page.locator("figure .drawing svg").nth(number).is_visible()
        dead = page.locator("button:visible, input:visible, select:visible")
        assert {one.evaluate("(one) => one.closest('thead') !== null") for one in dead.all()} <= {
            True
        }
        assert page.locator("ul.findings > li").count() > 5
        folded = page.locator("details").first
        folded.locator("summary").click()
        assert folded.locator("table, dl").first.is_visible()
        assert one.complaints == [] and len(one.requests) == 1
