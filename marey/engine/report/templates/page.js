"use strict";
{
  // A tip that follows the pointer, in place of the browser's, which comes late and never by touch.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  for (const title of document.querySelectorAll("svg title")) {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  }
  const show = (event) => {
    const mark = event.target.closest("[data-tip]");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const right = window.innerWidth - tip.offsetWidth - 8;
    tip.style.left = Math.max(8, Math.min(event.clientX + 12, right)) + "px";
    const below = event.clientY + 16, above = event.clientY - tip.offsetHeight - 12;
    tip.style.top = (below + tip.offsetHeight > window.innerHeight ? above : below) + "px";
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => { tip.hidden = true; }, true);

  // A click on a heading sorts its table; numbers by their value, what has none last.
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = parseFloat(text.replace(/,/g, ""));
    return Number.isNaN(number) ? text : number;
  };
  const order = (a, b, sign) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  };
  for (const heading of document.querySelectorAll("thead th")) {
    const table = heading.closest("table"), body = table.tBodies[0];
    if (body.rows.length === 1 || !heading.textContent.trim()) continue;
    const sort = () => {
      const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const rows = Array.from(body.rows), column = heading.cellIndex;
      rows.sort((a, b) => order(value(a, column), value(b, column), sign));
      body.append(...rows);
    };
    heading.tabIndex = 0;
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  }

  // What is typed stays: the rows and clips of the section that name it.
  for (const field of document.querySelectorAll(".filter")) {
    const section = field.closest("section");
    field.hidden = false;
    field.addEventListener("input", (event) => {
      const wanted = event.target.value.toLowerCase();
      for (const each of section.querySelectorAll("tbody tr, figure.strip")) {
        each.hidden = !each.textContent.toLowerCase().includes(wanted);
      }
    });
  }

  // A clip plays while the pointer is on it, or when it is touched; controls would cover it.
  for (const video of document.querySelectorAll("video")) {
    video.controls = false;
    video.muted = true;
    const play = () => { video.play().catch(() => {}); };
    video.addEventListener("mouseenter", play);
    video.addEventListener("mouseleave", () => video.pause());
    video.addEventListener("click", () => { if (video.paused) play(); else video.pause(); });
  }
}
