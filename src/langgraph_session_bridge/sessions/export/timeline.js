"use strict";
// What happened in a session, played. Everything from the session is data: it is only ever set as text.
(() => {
  const { session, entries } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const LABELS = {
    message: "Messages", tool: "Tools", model: "Models", context: "Context", interrupt: "Interrupts", resume: "Resumes",
    condensation: "Condensations", error: "Errors", audio: "Audio", event: "Events", transition: "Status",
    checkpoint: "Checkpoints", run: "Runs",
  };
  const NAMES = {
    tool: "Tool", model: "Model", context: "Context", interrupt: "Interrupt", resume: "Resume", audio: "Audio",
    condensation: "Condensed", error: "Error", event: "Event", transition: "Status", checkpoint: "Checkpoint", run: "Run",
  };
  const SPEAKERS = { user: "User", assistant: "Assistant", system: "System", tool: "Tool answer", other: "Other" };
  const QUIET = new Set(["checkpoint", "run"]); // off at first: they are what the rest is stored in
  const BAD = new Set(["error", "unknown", "failed"]);
  const LONG = 900;

  function make(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "text") node.textContent = value;
      else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
    }
    node.append(...children.filter(Boolean));
    return node;
  }

  // Times

  const clockTime = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
  function duration(seconds) {
    if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 99.5) return `${Number(seconds.toPrecision(seconds < 9.95 ? 2 : 3))} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    if (seconds < 129600) return `${Number((seconds / 3600).toPrecision(2))} h`;
    return `${Math.round(seconds / 86400)} days`;
  }

  // The reel: seconds of playback. Idle time is shortened, so that days scrub as well as minutes; nothing is instant.

  const LONGEST = 4, SHORTEST = 0.12, TOLD_GAP = 30;
  const real = [...new Set(entries.flatMap((each) => (each.e === undefined ? [each.t] : [each.t, Math.max(each.t, each.e)])))].sort((a, b) => a - b);
  const reel = [];
  const gaps = [];
  let length = 0;
  real.forEach((at, i) => {
    const idle = i ? (at - real[i - 1]) / 1000 : 0;
    const shown = idle === 0 ? 0 : Math.max(SHORTEST, idle <= LONGEST ? idle : LONGEST + Math.log(idle / LONGEST));
    if (idle > TOLD_GAP) gaps.push({ at: length + shown / 2, idle, width: shown });
    length += shown;
    reel.push(length);
  });
  const last = (list, value) => { // position of the last that is not greater
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] <= value) low = middle + 1; else high = middle;
    }
    return low - 1;
  };
  function toReel(at) {
    const i = last(real, at);
    if (i < 0) return 0;
    if (real[i] === at || i === real.length - 1) return reel[i];
    return reel[i] + (reel[i + 1] - reel[i]) * (at - real[i]) / (real[i + 1] - real[i]);
  }
  function toReal(position) {
    const i = Math.max(0, last(reel, position));
    if (i >= real.length - 1) return real[real.length - 1] ?? 0;
    return real[i] + (real[i + 1] - real[i]) * (position - reel[i]) / (reel[i + 1] - reel[i] || 1);
  }
  const starts = entries.map((each) => toReel(each.t));

  // Heading

  function heading() {
    $("overline").textContent = `Session ${session.id}`;
    $("title").textContent = session.title;
    const facts = { status: session.status, ...session.facts };
    for (const [name, value] of Object.entries(facts)) {
      let shown = name === "began" ? `${day.format(value)}, ${clockTime.format(value)}` : value;
      if (typeof shown === "number") shown = shown.toLocaleString();
      $("facts").append(make("div", {}, make("dt", { text: name }), make("dd", { text: shown, dir: "auto", class: name === "status" ? `status ${session.status}` : null })));
    }
    if (entries.length) {
      const took = (real[real.length - 1] - real[0]) / 1000;
      $("facts").append(make("div", {}, make("dt", { text: "lasted" }), make("dd", { text: duration(took) })));
    }
    $("origin").textContent = `Exported ${day.format(session.exported)} by ${session.origin}` + (session.redacted ? "; secrets are redacted." : "; nothing is redacted.");
  }

  // List

  const items = [];
  const searchable = [];
  const groups = []; // headings, with the entries whose absence hides them
  const chunks = []; // what the browser lays out together, when it comes near the screen
  const CHUNK = 40, USUAL = 76;
  function list() {
    const fragment = document.createDocumentFragment();
    let turn = null, before = null, group = null, chunk = null;
    entries.forEach((each, i) => {
      if (i % CHUNK === 0) {
        chunks.push(chunk = make("div", { class: "chunk", role: "presentation" }));
        fragment.append(chunk);
      }
      if (each.u !== turn) {
        turn = each.u;
        const date = day.format(each.t);
        const row = make("div", { class: "turn", role: "presentation" }, make("h2", { text: turn ? `Turn ${turn}` : "Before the first turn" }), make("span", { text: date }));
        groups.push(group = { row, from: i, to: i });
        chunk.append(row);
      } else if (before && (each.t - before) / 1000 > 3600) {
        chunk.append(make("div", { class: "gap", role: "presentation", text: `${duration((each.t - before) / 1000)} later` }));
      }
      if (group) group.to = i;
      before = Math.max(each.t, each.e ?? 0);
      const row = item(each, i);
      items.push(row);
      searchable.push([each.h, each.x, each.s, each.a, each.c?.length ? JSON.stringify(each.c) : "", NAMES[each.k] || SPEAKERS[each.r]].join("\n").toLowerCase());
      chunk.append(row);
    });
    $("entries").append(fragment);
    chunks.forEach((chunk) => watcher.observe(chunk));
  }

  function item(each, i) {
    const time = make("time", { datetime: new Date(each.t).toISOString(), text: clockTime.format(each.t) });
    const jump = make("button", { type: "button", class: "at", "aria-label": `Go to ${clockTime.format(each.t)}` }, time);
    const row = make("div", { role: "listitem", class: `entry ${classes(each)}`, "data-n": each.n, "data-i": i });
    row.append(jump, make("div", { class: "body" }, head(each), ...content(each), details()));
    return row;
  }

  function classes(each) {
    if (each.k !== "message") return `${each.k}${["tool", "context", "run", "checkpoint", "event"].includes(each.k) ? " quietly" : ""}`;
    return `message ${each.r === "tool" ? "tool-answer quietly" : each.r}`;
  }

  function titled(each) { // without what the label in front of it says already
    if (each.k === "message") return each.h.split(" ").slice(1).join(" ");
    return each.k === "run" ? each.h.replace(/^Run /, "") : each.h;
  }

  function head(each) {
    const isMessage = each.k === "message";
    const row = make("p", { class: "head" }, make("span", { class: "kind", text: isMessage ? SPEAKERS[each.r] || each.r : NAMES[each.k] || each.k }));
    const name = titled(each);
    if (name) row.append(make("span", { class: "name", dir: "auto", text: name }));
    if (each.s && each.k !== "transition" && !(each.k === "tool" && each.s === "success")) {
      row.append(make("span", { class: `told${BAD.has(each.s) ? " bad" : each.s === "interrupted" ? " waits" : ""}`, text: each.s }));
    }
    if (each.e !== undefined) row.append(make("span", { class: "told", text: duration((each.e - each.t) / 1000) }));
    if (each.d.attempt > 1) row.append(make("span", { class: "told", text: `attempt ${each.d.attempt}` }));
    if (each.k === "model" && each.d.data?.usage?.total_tokens) row.append(make("span", { class: "told", text: `${each.d.data.usage.total_tokens.toLocaleString()} tokens` }));
    if (each.d.tokens_before !== undefined) row.append(make("span", { class: "told", text: `${each.d.tokens_before.toLocaleString()} → ${each.d.tokens_after.toLocaleString()} tokens` }));
    if (each.d.condensed) row.append(make("span", { class: "told", text: "condensed since" }));
    return row;
  }

  function content(each) {
    const found = [];
    if (each.a) found.push(clamped(make("div", { class: "code", dir: "auto", text: each.a }), each.a));
    if (each.x) found.push(clamped(make("div", { class: "text", dir: "auto", text: each.x }), each.x));
    if (each.c?.length) found.push(make("ul", { class: "calls", "aria-label": "Calls" }, ...each.c.map(called)));
    return found.flat();
  }

  function called(call) {
    const given = Object.entries(call.args || {}).map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ");
    return make("li", { dir: "auto", text: `${call.name}(${given.length > LONG ? `${given.slice(0, LONG)}…` : given})` });
  }

  function clamped(node, text) {
    if (text.length <= LONG && text.split("\n").length <= 14) return [node];
    node.classList.add("clamped");
    return [node, make("button", { type: "button", class: "link more", "aria-expanded": "false", text: "Show all" })];
  }

  function details() {
    return make("details", {}, make("summary", { text: "Details" }));
  }

  $("entries").addEventListener("toggle", (event) => {
    const row = event.target.closest(".entry");
    if (event.target.open && row && !event.target.querySelector("pre")) {
      const text = JSON.stringify(entries[row.dataset.i].d, null, 2);
      event.target.append(make("pre", { class: "code", tabindex: "0", "aria-label": "Details as JSON", text }));
    }
  }, true);
  $("entries").addEventListener("click", (event) => {
    const row = event.target.closest(".entry");
    if (!row) return;
    if (event.target.closest(".at")) select(Number(row.dataset.i));
    const more = event.target.closest(".more");
    if (more) {
      const open = more.getAttribute("aria-expanded") === "false";
      more.setAttribute("aria-expanded", String(open));
      more.textContent = open ? "Show less" : "Show all";
      more.previousElementSibling.classList.toggle("clamped", !open);
    }
  });

  // Chart: a lane of ticks, one of models, one for each tool

  const HEIGHT = 14, SPACE = 4, MOST_LANES = 6, WIDTH = 1000;
  function chart() {
    const svg = $("chart");
    const x = (position) => (length ? position / length : 0) * WIDTH;
    const tools = new Map();
    for (const each of entries) if (each.k === "tool") tools.set(each.h, (tools.get(each.h) || 0) + 1);
    const ranked = [...tools].sort((a, b) => b[1] - a[1]).map(([name]) => name);
    const frequent = new Set(ranked.length > MOST_LANES ? ranked.slice(0, MOST_LANES - 1) : ranked);
    const own = [...tools.keys()].filter((name) => frequent.has(name)); // in the order of their first calls
    const lanes = ["", ...(entries.some((each) => each.k === "model") ? ["models"] : []), ...own, ...(ranked.length > own.length ? ["other tools"] : [])];
    const rows = new Map(own.map((name, i) => [name, lanes.length - own.length - (ranked.length > own.length ? 1 : 0) + i]));
    const lane = (each) => each.k === "model" ? 1 : rows.get(each.h) ?? lanes.length - 1;
    const top = (row) => row * (HEIGHT + SPACE) + (row ? 6 : 0);
    const height = top(lanes.length - 1) + HEIGHT + SPACE + (gaps.length ? 12 : 2);
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    svg.style.height = `${height}px`;
    lanes.forEach((name, row) => {
      const label = make("span", { text: row ? name : "events" });
      label.style.height = `${HEIGHT + SPACE + (row ? 0 : 6)}px`;
      label.style.lineHeight = `${HEIGHT + 5}px`;
      $("lanes").append(label);
    });
    const draw = (name, attributes) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      svg.append(node);
      return node;
    };
    waits().forEach(([from, to]) => draw("rect", { class: "wait fill-interrupt", "data-k": "interrupt", x: x(from), y: 0, width: Math.max(2, x(to) - x(from)), height }));
    draw("path", { class: "rule", d: `M0 ${HEIGHT + SPACE + 3}H${WIDTH}` });
    const ticks = {};
    entries.forEach((each, i) => {
      if (each.k === "tool" || each.k === "model") return;
      const hue = each.k === "message" ? (each.r === "user" ? "user" : "assistant") : each.k;
      const isMark = ["error", "interrupt", "condensation"].includes(each.k);
      const [from, to] = isMark ? [1, HEIGHT + 3] : each.k === "message" ? [4, HEIGHT + 1] : [HEIGHT - 5, HEIGHT + 1];
      (ticks[hue] ||= { kind: each.k, isMark, path: [] }).path.push(`M${x(starts[i]).toFixed(2)} ${from}V${to}`);
    });
    for (const [hue, { kind, isMark, path }] of Object.entries(ticks)) {
      draw("path", { class: isMark ? "mark" : "tick", "data-k": kind, d: path.join("") }).style.stroke = `var(--${hue})`;
    }
    entries.forEach((each, i) => {
      if (each.k !== "tool" && each.k !== "model") return;
      const from = x(starts[i]), to = x(each.e === undefined ? starts[i] : toReel(each.e));
      const fill = each.k === "model" ? "model" : BAD.has(each.s) ? "error" : each.s === "interrupted" ? "interrupt" : each.e === undefined ? "open" : "tool";
      const bar = draw("rect", { class: `bar fill-${fill}`, "data-k": each.k, x: from.toFixed(2), y: top(lane(each)) + 2, width: Math.max(2.5, to - from).toFixed(2), height: HEIGHT - 4 });
      const tip = document.createElementNS("http://www.w3.org/2000/svg", "title");
      tip.textContent = `${each.h} · ${each.s || ""}`;
      bar.append(tip);
    });
    let free = -1;
    for (const gap of gaps) {
      const at = gap.at / length;
      if (at - free < 0.06 || at < 0.02 || at > 0.98) continue; // labels that would cover each other are left out
      const label = make("span", { text: `⋯ ${duration(gap.idle)}` });
      label.style.left = `${at * 100}%`;
      $("gaps").append(label);
      free = at;
    }
    $("track").setAttribute("aria-valuemax", String(Math.max(0, entries.length - 1)));
  }

  function waits() { // from each interrupt to what ends it
    const found = [];
    let since = null;
    entries.forEach((each, i) => {
      if (each.k === "interrupt") since ??= starts[i];
      else if (since !== null && (each.k === "resume" || (each.k === "run" && each.h === "Run started"))) {
        found.push([since, starts[i]]);
        since = null;
      }
    });
    if (since !== null) found.push([since, length]);
    return found;
  }

  // Position

  let position = 0, current = -1;
  function show(index) {
    const row = items[index];
    if (index !== current) {
      const before = items[current];
      before?.classList.remove("current");
      before?.removeAttribute("aria-current");
      current = index;
      row?.classList.add("current");
      row?.setAttribute("aria-current", "true");
      near.forEach(dim);
      follow();
    }
    tell();
  }
  const near = new Set(); // chunks on the screen or close to it: only these are dimmed, however many there are
  function dim(chunk) {
    const from = chunks.indexOf(chunk) * CHUNK;
    for (let i = from; i < Math.min(entries.length, from + CHUNK); i++) items[i].classList.toggle("future", current >= 0 && i > current);
  }
  const watcher = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      near[isIntersecting ? "add" : "delete"](target);
      if (isIntersecting) dim(target);
    }
  }, { rootMargin: "60% 0px" });
  let following = 0, restUntil = 0;
  function follow() { // the list keeps up with the cursor as often as laying it out allows
    if (following) return;
    following = setTimeout(() => {
      following = 0;
      const began = performance.now();
      reveal(current);
      restUntil = performance.now() + 2 * (performance.now() - began);
    }, Math.max(0, restUntil - performance.now()));
  }
  function reveal(index) { // the entry itself, or the next one before it that is shown
    for (let i = index; i >= 0; i--) {
      if (items[i] && !items[i].hidden) {
        items[i].scrollIntoView({ block: "nearest" });
        return;
      }
    }
  }
  let width = 0;
  function tell() {
    const each = entries[Math.max(0, current)];
    const at = length ? toReal(position) : each?.t;
    $("cursor").style.transform = `translateX(${(length ? position / length : 0) * width}px)`;
    if (!each) return;
    const label = each.k === "message" ? SPEAKERS[each.r] || each.r : `${NAMES[each.k]} ${titled(each)}`;
    const turn = each.u ? `turn ${each.u} · ` : "";
    $("clock").replaceChildren(clockTime.format(at), make("span", { text: day.format(at) }));
    $("clock").dateTime = new Date(at).toISOString();
    $("place").textContent = `${turn}${Math.max(0, current) + 1} of ${entries.length} · ${label}`;
    $("track").setAttribute("aria-valuenow", String(Math.max(0, current)));
    $("track").setAttribute("aria-valuetext", `${clockTime.format(at)}, ${$("place").textContent}`);
  }
  function select(index) {
    if (!entries.length) return;
    const wanted = Math.min(entries.length - 1, Math.max(0, index));
    position = starts[wanted];
    show(wanted);
  }
  function scrub(to) {
    position = Math.min(length, Math.max(0, to));
    show(Math.max(0, last(starts, position + 1e-9)));
  }
  function step(by) {
    let i = current < 0 ? (by > 0 ? -1 : entries.length) : current;
    do i += by; while (i >= 0 && i < entries.length && items[i].hidden);
    if (i >= 0 && i < entries.length) select(i);
  }
  function turn(by) {
    const now = entries[Math.max(0, current)]?.u ?? 0;
    const first = entries.findIndex((each) => each.u === (by > 0 ? now + 1 : now));
    if (by < 0 && (first === current || first < 0)) return select(Math.max(0, entries.findIndex((each) => each.u === now - 1)));
    select(by > 0 && first < 0 ? entries.length - 1 : first);
  }

  // Playing

  let speed = 1, frame = 0, shownAt = 0;
  function play(on = !frame) {
    cancelAnimationFrame(frame);
    frame = 0;
    if (on && entries.length) {
      if (position >= length) scrub(0);
      shownAt = performance.now();
      frame = requestAnimationFrame(tick);
    }
    document.body.classList.toggle("playing", Boolean(frame));
    $("play").setAttribute("aria-label", frame ? "Pause" : "Play");
  }
  function tick(now) {
    position = Math.min(length, position + Math.max(0, now - shownAt) / 1000 * speed);
    shownAt = now;
    show(Math.max(current, 0, last(starts, position + 1e-9)));
    if (position >= length) return play(false);
    frame = requestAnimationFrame(tick);
  }
  function pace(value) {
    speed = value;
    for (const button of document.querySelectorAll("[data-speed]")) button.setAttribute("aria-pressed", String(Number(button.dataset.speed) === value));
  }

  // Filters

  const wanted = new Set();
  function filters() {
    const counts = {};
    for (const each of entries) counts[each.k] = (counts[each.k] || 0) + 1;
    for (const [kind, label] of Object.entries(LABELS)) {
      if (!counts[kind]) continue;
      if (!QUIET.has(kind)) wanted.add(kind);
      const button = make("button", { type: "button", "data-kind": kind, "aria-pressed": String(wanted.has(kind)) }, label, make("small", { text: counts[kind].toLocaleString() }));
      button.style.setProperty("--hue", `var(--${kind === "message" ? "user" : kind})`);
      $("kinds").append(button);
    }
  }
  function filter() {
    const text = $("search").value.trim().toLowerCase();
    let shown = 0;
    entries.forEach((each, i) => {
      const hidden = !wanted.has(each.k) || (text !== "" && !searchable[i].includes(text));
      if (items[i].hidden !== hidden) items[i].hidden = hidden;
      shown += !hidden;
    });
    chunks.forEach((chunk, c) => {
      const left = items.slice(c * CHUNK, (c + 1) * CHUNK).filter((row) => !row.hidden).length;
      chunk.hidden = !left;
      chunk.style.containIntrinsicBlockSize = `auto ${left * USUAL}px`;
    });
    for (const { row, from, to } of groups) row.hidden = !items.slice(from, to + 1).some((each) => !each.hidden);
    for (const gap of document.querySelectorAll(".gap")) gap.hidden = text !== "";
    for (const node of $("chart").querySelectorAll("[data-k]")) node.classList.toggle("off", !wanted.has(node.dataset.k));
    $("count").textContent = shown === entries.length ? `${shown.toLocaleString()}` : `${shown.toLocaleString()} of ${entries.length.toLocaleString()}`;
    $("nothing").hidden = shown > 0;
    if (current >= 0) follow();
  }

  // Theme

  const preferred = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  function theme() {
    const dark = chosen ?? preferred.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    $("theme").setAttribute("aria-pressed", String(dark));
  }

  // What people do

  $("play").addEventListener("click", () => play());
  $("theme").addEventListener("click", () => { chosen = !(chosen ?? preferred.matches); theme(); });
  preferred.addEventListener("change", theme);
  document.querySelector(".speeds").addEventListener("click", (event) => {
    const button = event.target.closest("[data-speed]");
    if (button) pace(Number(button.dataset.speed));
  });
  $("kinds").addEventListener("click", (event) => {
    const button = event.target.closest("[data-kind]");
    if (!button) return;
    const { kind } = button.dataset;
    if (!wanted.delete(kind)) wanted.add(kind);
    button.setAttribute("aria-pressed", String(wanted.has(kind)));
    filter();
  });
  let typed = 0;
  $("search").addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(filter, 120);
  });
  $("reset").addEventListener("click", () => {
    $("search").value = "";
    for (const button of $("kinds").children) {
      wanted.add(button.dataset.kind);
      button.setAttribute("aria-pressed", "true");
    }
    filter();
  });

  const track = $("track");
  let waiting = 0, dragging = null;
  const toPointer = (event) => {
    const box = track.getBoundingClientRect();
    const to = (event.clientX - box.left) / box.width * length;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => scrub(to));
  };
  track.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    dragging = event.pointerId;
    toPointer(event);
  });
  document.addEventListener("pointermove", (event) => {
    if (event.pointerId !== dragging) return;
    if (event.buttons) toPointer(event); else dragging = null; // it was let go outside of the window
  });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { dragging = null; });
  new ResizeObserver(() => { width = track.clientWidth; tell(); }).observe(track);

  const SPEEDS = { 1: 0.5, 2: 1, 3: 2, 4: 4 };
  const KEYS = {
    " ": () => play(), ArrowRight: () => step(1), ArrowLeft: () => step(-1), Home: () => scrub(0), End: () => select(entries.length - 1),
    t: () => $("theme").click(), "/": () => $("search").focus(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.matches("input, textarea")) {
      if (key === "Escape") { target.value = ""; filter(); target.blur(); }
      return;
    }
    if (key === " " && target.matches("button, summary, pre")) return;
    if (target.matches("pre") && key.startsWith("Arrow")) return;
    let action = KEYS[key] || (SPEEDS[key] && (() => pace(SPEEDS[key])));
    if (event.shiftKey && key === "ArrowRight") action = () => turn(1);
    if (event.shiftKey && key === "ArrowLeft") action = () => turn(-1);
    if (target === track) {
      action ||= { ArrowUp: () => step(1), ArrowDown: () => step(-1), PageUp: () => turn(1), PageDown: () => turn(-1) }[key];
    }
    if (!action) return;
    event.preventDefault();
    action();
  });

  theme();
  heading();
  list();
  chart();
  filters();
  filter();
  tell();
})();
