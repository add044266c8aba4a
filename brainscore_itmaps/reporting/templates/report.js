"use strict";

const data = JSON.parse(document.getElementById("data").textContent);

function floats(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function percentile(sorted, share) {
  const index = share * (sorted.length - 1), below = Math.floor(index), above = Math.ceil(index);
  return sorted[below] + (sorted[above] - sorted[below]) * (index - below);
}

function colourOf(table, share) {
  const index = Math.round(Math.min(1, Math.max(0, share)) * (table.length - 1));
  return table[Number.isFinite(share) ? index : 0];
}

/** Describe degrees from the centre of the image in words. */
function side(degrees, before, after) {
  return degrees === 0 ? "0°" : `${Math.abs(degrees)}° ${degrees < 0 ? before : after}`;
}

/** Compute the distance of neighbouring positions, in degrees. */
function stepOf(positions) {
  return positions.length > 1 ? positions[1] - positions[0] : 1;
}

/** Compute the start and the length of an image in pixels, along one axis of positions with one tile each. */
function extentInPixels(positions, tile, extent) {
  const step = stepOf(positions);
  return [tile / 2 + ((-extent / 2 - positions[0]) / step) * tile, (extent / step) * tile];
}

/** Connect the browser of one array: its maps, and the chosen image, site and position. */
function browser(section, array) {
  const find = (name) => section.querySelector(`[data-part="${name}"]`);
  const neural = floats(array.neural), predicted = floats(array.predicted);
  const rows = array.y.length, columns = array.x.length, sites = array.sites.length;
  const images = array.files.map((number) => {
    if (number === null) return null;
    const image = new Image();
    image.src = data.images[number];
    return image;
  });
  const chosen = { image: 0, site: -1, point: null };

  function mapOf(values) {
    const map = new Float64Array(rows * columns), start = chosen.image * rows * columns * sites;
    for (let point = 0; point < rows * columns; point++) {
      const from = start + point * sites;
      if (chosen.site >= 0) map[point] = values[from + chosen.site];
      else {
        let sum = 0;
        for (let site = 0; site < sites; site++) sum += values[from + site];
        map[point] = sum / sites;
      }
    }
    return map;
  }

  function draw() {
    const maps = { recorded: mapOf(neural), predicted: mapOf(predicted) };
    maps.difference = maps.predicted.map((value, point) => value - maps.recorded[point]);
    const ends = [maps.recorded, maps.predicted].map((map) => {
      const sorted = map.slice().sort();
      return [percentile(sorted, 0.005), percentile(sorted, 0.995)];
    });
    const low = Math.min(ends[0][0], ends[1][0]), high = Math.max(ends[0][1], ends[1][1]);
    const beyond = [maps.recorded, maps.predicted].reduce(
      (count, map) => count + map.filter((value) => value < low || value > high).length, 0);
    const sizes = maps.difference.map(Math.abs).sort(), most = percentile(sizes, 0.995) || 1;
    const span = high - low || 1;
    const scaled = {
      overlay: [maps.recorded, (value) => colourOf(data.colours, (value - low) / span)],
      recorded: [maps.recorded, (value) => colourOf(data.colours, (value - low) / span)],
      predicted: [maps.predicted, (value) => colourOf(data.colours, (value - low) / span)],
      difference: [maps.difference, (value) => colourOf(data.diverging, (value / most + 1) / 2)],
    };
    for (const [name, [values, colour]] of Object.entries(scaled)) drawPanel(find(name), name, values, colour);
    find("low").textContent = low.toFixed(1);
    find("high").textContent = high.toFixed(1);
    find("beyond").textContent =
      beyond ? `${((100 * beyond) / (2 * rows * columns)).toFixed(1)} % of the values lie beyond` : "";
    find("most").textContent = `± ${most.toFixed(1)}`;
    const scale = find("scale").getContext("2d");
    for (let x = 0; x < 256; x++) {
      scale.fillStyle = data.colours[x];
      scale.fillRect(x, 0, 1, 1);
    }
    const agreement = chosen.site < 0 ? array.rho[chosen.image] : array.r[chosen.image][chosen.site];
    const name = chosen.site < 0 ? "Spearman rho of the mean maps" : "Pearson r";
    find("agreement").textContent = `${name}: ${agreement === null ? "undefined, a map is constant" : agreement.toFixed(2)}`;
    readOut(maps);
  }

  function drawPanel(canvas, name, values, colour) {
    const across = Math.max(8, Math.floor(340 / columns));
    const down = Math.min(8 * across, Math.max(4, Math.round((across * stepOf(array.y)) / stepOf(array.x))));
    canvas.width = across * columns;
    canvas.height = down * rows;
    const pen = canvas.getContext("2d"), image = images[chosen.image];
    pen.fillStyle = "#eeeeee";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    if (name === "overlay") {
      if (image !== null && image.complete && image.naturalWidth > 0) {
        const [left, width] = extentInPixels(array.x, across, array.size[1]);
        const [top, height] = extentInPixels(array.y, down, array.size[0]);
        pen.drawImage(image, left, top, width, height);
      } else if (image !== null) image.onload = draw;
      pen.globalAlpha = find("strength").value / 100;
    }
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        pen.fillStyle = colour(values[y * columns + x]);
        pen.fillRect(x * across, y * down, across, down);
      }
    }
    pen.globalAlpha = 1;
    if (chosen.point !== null) {
      const [y, x] = chosen.point;
      pen.lineWidth = 3;
      pen.strokeStyle = "#000000";
      pen.strokeRect(x * across - 1, y * down - 1, across + 2, down + 2);
      pen.lineWidth = 1.5;
      pen.strokeStyle = "#ffffff";
      pen.strokeRect(x * across - 1, y * down - 1, across + 2, down + 2);
    }
  }

  function readOut(maps) {
    const line = find("readout");
    if (chosen.point === null) {
      line.textContent = "Move the pointer over a map, or select a map and use the arrow keys, to read the values of a position.";
      return;
    }
    const [y, x] = chosen.point, point = y * columns + x;
    line.dataset.recorded = maps.recorded[point];
    line.dataset.predicted = maps.predicted[point];
    line.textContent =
      `${side(array.x[x], "left", "right")}, ${side(array.y[y], "up", "down")}: ` +
      `${array.kind} ${maps.recorded[point].toFixed(2)}, ` +
      `predicted ${maps.predicted[point].toFixed(2)} ${array.units}`;
  }

  function choose(image) {
    chosen.image = image;
    for (const button of find("thumbnails").children) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.image) === image));
    }
    find("name").textContent = array.images[image];
    draw();
  }

  function point(y, x) {
    chosen.point = [Math.min(rows - 1, Math.max(0, y)), Math.min(columns - 1, Math.max(0, x))];
    draw();
  }

  array.images.forEach((name, image) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.image = image;
    button.title = name;
    const number = array.files[image];
    if (number === null) button.textContent = String(image + 1);
    else {
      const small = document.createElement("img");
      small.src = data.images[number];
      small.alt = name;
      button.append(small);
    }
    button.addEventListener("click", () => choose(image));
    find("thumbnails").append(button);
  });
  ["mean over sites", ...array.sites].forEach((name, number) => find("site").add(new Option(name, String(number - 1))));
  find("site").addEventListener("change", (event) => {
    chosen.site = Number(event.target.value);
    draw();
  });
  find("strength").addEventListener("input", draw);
  for (const name of ["overlay", "recorded", "predicted", "difference"]) {
    const canvas = find(name);
    const pointed = (event) => {
      const box = canvas.getBoundingClientRect();
      point(
        Math.floor(((event.clientY - box.top) / box.height) * rows),
        Math.floor(((event.clientX - box.left) / box.width) * columns),
      );
    };
    canvas.addEventListener("pointermove", pointed);
    canvas.addEventListener("pointerdown", pointed); // a tap on a touch screen does not move the pointer
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const [y, x] = chosen.point ?? [Math.floor(rows / 2), Math.floor(columns / 2)];
      point(y + step[0], x + step[1]);
    });
  }
  section.querySelector(".browser").hidden = false;
  choose(0);
}

function tabs(bar, sections) {
  const buttons = [...bar.children];
  function show(number) {
    buttons.forEach((button, index) => {
      button.setAttribute("aria-selected", String(index === number));
      button.tabIndex = index === number ? 0 : -1;
      sections[index].hidden = index !== number;
    });
  }
  buttons.forEach((button, number) => {
    button.addEventListener("click", () => show(number));
    button.addEventListener("keydown", (event) => {
      const last = buttons.length - 1;
      const next = { ArrowLeft: number - 1, ArrowRight: number + 1, Home: 0, End: last }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      const chosen = (next + buttons.length) % buttons.length;
      show(chosen);
      buttons[chosen].focus();
    });
  });
  for (const section of sections) section.setAttribute("role", "tabpanel");
  bar.hidden = false;
  show(0);
}

const sections = [...document.querySelectorAll(".array")];
sections.forEach((section, number) => browser(section, data.arrays[number]));
if (sections.length > 1) tabs(document.querySelector(".tabs"), sections);
