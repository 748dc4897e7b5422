(() => {
  "use strict";
  const leaves = [...document.querySelectorAll(".leaf")];
  const get = (id) => document.getElementById(id);
  const [previous, next, place, task, split, search, nothing] =
    ["previous", "next", "place", "task", "split", "search", "nothing"].map(get);
  let shown = leaves, at = 0;
  document.documentElement.classList.add("js");

  const words = new Map(leaves.map((leaf) => [leaf, leaf.textContent.toLowerCase()]));

  function turn(to) {
    at = Math.max(0, Math.min(to, shown.length - 1));
    for (const leaf of leaves) leaf.hidden = leaf !== shown[at];
    nothing.hidden = shown.length > 0;
    place.textContent = shown.length ? `${at + 1} / ${shown.length}` : "0 / 0";
    place.setAttribute("aria-label", shown.length
      ? `Episode ${at + 1} of ${shown.length}: ${shown[at].getAttribute("aria-label")}` : "No episode");
    previous.disabled = at === 0;
    next.disabled = at >= shown.length - 1;
  }

  function go(to) {
    turn(to);
    if (shown.length) history.replaceState(null, "", `#${shown[at].id}`);
    const top = document.querySelector(".tools");
    if (top.getBoundingClientRect().top <= 0) top.nextElementSibling.scrollIntoView();
  }

  function filter() {
    const current = shown[at], asked = search.value.trim().toLowerCase();
    shown = leaves.filter((leaf) =>
      (!task || !task.value || leaf.dataset.task === task.value.slice(1)) &&
      (!split || !split.value || leaf.dataset.split === split.value.slice(1)) &&
      words.get(leaf).includes(asked));
    turn(Math.max(0, shown.indexOf(current)));
  }

  previous.addEventListener("click", () => go(at - 1));
  next.addEventListener("click", () => go(at + 1));
  for (const choice of [task, split]) if (choice) choice.addEventListener("change", filter);
  search.addEventListener("input", filter);
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.matches("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const step = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: shown.length - 1}[event.key];
    if (step !== undefined) { event.preventDefault(); go(step); }
    if (event.key === "/") { event.preventDefault(); search.focus(); }
  });
  const named = () => shown.findIndex((leaf) => `#${leaf.id}` === location.hash);
  addEventListener("hashchange", () => { if (named() >= 0) turn(named()); });
  turn(Math.max(0, named()));
})();
