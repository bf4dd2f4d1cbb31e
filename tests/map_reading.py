"""Reading the map of cells of an index: on the page, and as the page saves it."""

from collections import Counter
from xml.etree import ElementTree

ZERO = "#bfc6cd"
"""Colour of a cell without a count of the gene."""

SVG = "{http://www.w3.org/2000/svg}"
PIXELS = """() => {
  const canvas = document.getElementById("map-canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Map();
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue] = data.slice(i, i + 3);
    if (Math.max(red, green, blue) - Math.min(red, green, blue) < 40) continue; // grey or white
    const colour = `${red},${green},${blue}`;
    const place = [(i / 4) % canvas.width, Math.floor(i / 4 / canvas.width)];
    seen.has(colour) ? seen.get(colour).push(place) : seen.set(colour, [place]);
  }
  return [...seen].sort((a, b) => b[1].length - a[1].length).slice(0, 12);
}"""
"""The colours of the map, most frequent first, each with the places that have it."""

NAMES = """() => {
  const column = { names: ["two islands", "ring", "few", "hidden"], codes: [] };
  const places = [];
  const add = (code, across, up) => { column.codes.push(code); places.push([across, up]); };
  for (let i = 0; i < 1000; i++) {
    const turn = (2 * Math.PI * i) / 1000;
    const spread = 0.03 * Math.sqrt(i / 1000);
    add(0, (i % 3 ? 0.2 : 0.8) + spread * Math.cos(i), 0.2 + spread * Math.sin(i));
    add(1, 0.5 + 0.2 * Math.cos(turn), 0.7 + 0.2 * Math.sin(turn));
    if (i < 100) add(3, 0.2 + 0.1 * spread * Math.cos(i), 0.2);
  }
  add(2, 0.1, 0.9);
  for (let i = 0; i < 50; i++) add(0, 0.95, 0.95);
  const found = mapNames.islands(column, (i) => places[i]);
  const placed = mapNames.placed(found, { nameOf: (code) => column.names[code], height: 15,
    onScreen: ([across, up]) => [1000 * across, 1000 * (1 - up)], widthOf: () => 60,
    frame: { width: 1000, height: 1000 } });
  return placed.map(({ text, x, y }) => [text, x, y]);
}"""
"""Names of made-up places: two islands and a crumb, a ring, one cell, and one under another."""


def colour_map(page, name: str) -> None:
    """Choose what the map is coloured by, and wait until it is."""
    options = page.locator("#map-colour option").all_inner_texts()
    page.select_option("#map-colour", index=options.index(name))
    page.wait_for_function(
        "(name) => document.getElementById('map-canvas').ariaLabel.endsWith(` by ${name}`)",
        arg=name,
    )


def texts(content: bytes, *, anchor: str | None = None) -> list[str]:
    """Return the texts of a saved map: first title and subtitle, or those with an anchor."""
    found = [one for one in ElementTree.fromstring(content).findall(f".//{SVG}text")]
    if anchor:
        return [one.text for one in found if one.get("text-anchor") == anchor]
    return [one.text for one in found if one.get("text-anchor") != "middle"]


def dots(content: bytes) -> Counter:
    """Return the number of dots of a saved map by colour."""
    found = Counter()
    for one in ElementTree.fromstring(content).iter(f"{SVG}path"):
        found[one.get("stroke").lower()] += one.get("d").count("M")
    return found
