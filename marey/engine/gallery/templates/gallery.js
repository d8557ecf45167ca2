"use strict";
{
  // Everything is made by createElement and textContent: a name is never read as HTML.
  const PAGE_SIZE = 60;
  const page = JSON.parse(document.getElementById("page").textContent);
  const form = document.querySelector(".filters"), list = document.querySelector(".clips");
  const status = document.querySelector(".status"), pages = document.querySelector(".pages");
  const counts = document.querySelector(".counts"), counted = counts.querySelector("ol");
  const asked = form.elements;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const number = new Intl.NumberFormat("en");
  let shown = [], at = 0;

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const fill = (select, pairs) => {
    select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));
  };
  const distinct = (of) => [...new Set(page.clips.map(of).filter((each) => each))];
  const tally = (clips, of) => {
    const found = new Map();
    for (const clip of clips) for (const each of of(clip)) found.set(each, (found.get(each) || 0) + 1);
    return found;
  };

  const head = () => Number(asked.head.value) || 0;
  const classes = () => page.heads[head()]?.classes ?? [];
  const labels = (clip) => clip.labels[head()] ?? [];
  const answer = (clip) => clip.answers[head()] ?? null;
  const names = (clip) => labels(clip).map((each) => classes()[each]);

  // --- what is asked ---------------------------------------------------------------------------

  const splits = distinct((clip) => clip.split), faults = distinct((clip) => clip.fault);
  const has = {
    heads: page.heads.length > 1,
    classes: page.heads.length > 0,
    splits: splits.length > 1,
    faults: faults.length > 0,
    run: page.run !== "",
  };
  for (const element of document.querySelectorAll("[data-needs]")) {
    element.hidden = !has[element.dataset.needs];
    if (element.hidden && element.tagName === "OPTION") element.disabled = true;
  }
  fill(asked.head, page.heads.map((of, i) => [i, of.name]));
  const withCount = (of, value) => `${value} (${number.format(of.get(value))})`;
  const perSplit = tally(page.clips, (clip) => [clip.split]);
  fill(asked.split, [["", "any"], ...splits.map((each) => [each, withCount(perSplit, each)])]);
  const perFault = tally(page.clips, (clip) => [clip.fault]);
  fill(asked.fault, [
    ["", "any"], ["ok", "none"], ["bad", "any fault"],
    ...faults.map((each) => [each, withCount(perFault, each)]),
  ]);
  const offerClasses = () => {
    const found = tally(page.clips, labels);
    fill(asked.class, [
      ["", "any"],
      ...classes().map((name, i) => [i, `${name} (${number.format(found.get(i) || 0)})`]),
    ]);
  };

  const fits = (clip) => {
    const words = asked.search.value.toLowerCase().split(/\s+/).filter((each) => each);
    const text = [clip.path, ...names(clip), answer(clip)?.[0] ?? ""].join(" ").toLowerCase();
    if (!words.every((word) => text.includes(word))) return false;
    if (asked.split.value && clip.split !== asked.split.value) return false;
    const fault = asked.fault.value;
    if (fault === "ok" && clip.fault) return false;
    if (fault === "bad" && !clip.fault) return false;
    if (fault && fault !== "ok" && fault !== "bad" && clip.fault !== fault) return false;
    if (!has.run) return true;
    const of = answer(clip), wanted = asked.answer.value;
    if (wanted === "none" && of) return false;
    if (wanted === "right" && !(of && of[2])) return false;
    if (wanted === "wrong" && !(of && !of[2])) return false;
    const least = asked.least.value, most = asked.most.value;
    if (least !== "" && !(of && 100 * of[1] >= Number(least))) return false;
    return most === "" || (of !== null && 100 * of[1] <= Number(most));
  };
  const isOfClass = (clip) => !asked.class.value || labels(clip).includes(Number(asked.class.value));

  const byName = new Intl.Collator("en", { numeric: true }); // 9 before 10
  const sure = (clip, without) => answer(clip)?.[1] ?? without;
  const firstClass = (clip) => labels(clip)[0] ?? Infinity;
  const orders = {
    path: (a, b) => byName.compare(a.path, b.path),
    class: (a, b) => firstClass(a) - firstClass(b),
    longest: (a, b) => b.seconds - a.seconds || b.frames - a.frames,
    shortest: (a, b) => a.seconds - b.seconds || a.frames - b.frames,
    surest: (a, b) => sure(b, -1) - sure(a, -1),
    unsure: (a, b) => sure(a, 2) - sure(b, 2),
  };

  // --- what is shown ---------------------------------------------------------------------------

  const play = (look, clip) => {
    if (!clip.plays || look.querySelector("video")) return;
    const video = document.createElement("video");
    video.muted = video.loop = video.playsInline = true;
    video.src = `${page.media}/${clip.key}.mp4`;
    look.append(video);
    video.play().catch(() => {});
  };
  const stop = (look) => {
    const video = look.querySelector("video");
    if (!video) return;
    video.removeAttribute("src");
    video.load(); // lets go of the file at once
    video.remove();
  };

  const lookAt = (clip) => {
    if (!clip.key) {
      const look = make("div", "look");
      look.append(make("span", "none", "no picture"));
      return look;
    }
    const look = make("button", "look");
    look.type = "button";
    const what = [...names(clip), clip.path].join(", ");
    look.setAttribute("aria-label", clip.plays ? `Play ${what}` : `One picture: ${what}`);
    const image = make("img");
    image.alt = "";
    image.loading = "lazy";
    image.decoding = "async";
    image.src = `${page.media}/${clip.key}.jpg`;
    look.append(image);
    const frames = clip.frames === 1 ? "1 frame" : `${number.format(clip.frames)} frames`;
    const length = clip.seconds && clip.plays ? `${clip.seconds.toFixed(1)} s` : frames;
    look.append(make("span", "length", clip.faster > 1 ? `${length}, ${clip.faster.toFixed(1)}×` : length));
    // A pointer that hovers and the focus play at once; who wants less motion, or taps, asks for it.
    look.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse" && !still.matches) play(look, clip);
    });
    look.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && document.activeElement !== look) stop(look);
    });
    look.addEventListener("focus", () => {
      if (look.matches(":focus-visible") && !still.matches) play(look, clip);
    });
    look.addEventListener("blur", () => stop(look));
    look.addEventListener("click", () => {
      const video = look.querySelector("video");
      if (!video) play(look, clip);
      else if (video.paused) video.play().catch(() => {});
      else video.pause();
    });
    return look;
  };

  const card = (clip) => {
    const item = make("li");
    item.append(lookAt(clip));
    if (labels(clip).length) item.append(make("p", "classes", names(clip).join(", ")));
    const of = answer(clip);
    if (of) {
      const says = of[2] ? "right" : `answered ${of[0]}`;
      item.append(make("p", of[2] ? "right" : "wrong", `${says}, ${(100 * of[1]).toFixed(1)} % sure`));
    } else if (has.run) item.append(make("p", "where", "no answer"));
    if (clip.fault) item.append(make("p", "fault", `${clip.fault}: ${clip.reason}`));
    const where = [clip.path, clip.span, clip.split].filter((each) => each).join(" · ");
    item.append(make("p", "where", where));
    return item;
  };

  const showCounts = (clips) => {
    const found = tally(clips, labels);
    const most = Math.max(1, ...found.values());
    const order = [...classes().keys()].sort((a, b) => (found.get(b) || 0) - (found.get(a) || 0));
    counted.replaceChildren(...order.map((index) => {
      const row = make("li"), button = make("button"), bar = make("i");
      const count = found.get(index) || 0;
      button.type = "button";
      button.dataset.index = index;
      button.setAttribute("aria-pressed", String(asked.class.value === String(index)));
      bar.style.width = `${100 * count / most}%`;
      button.append(make("span", "", classes()[index]), bar, make("b", "", number.format(count)));
      row.append(button);
      return row;
    }));
  };

  const show = () => {
    const last = Math.max(0, Math.ceil(shown.length / PAGE_SIZE) - 1);
    at = Math.min(at, last);
    list.replaceChildren(...shown.slice(at * PAGE_SIZE, (at + 1) * PAGE_SIZE).map(card));
    const of = `${number.format(shown.length)} of ${number.format(page.clips.length)} clips`;
    status.textContent = shown.length ? of : `${of}: none is as asked`;
    pages.hidden = last === 0;
    pages.querySelector("span").textContent = `page ${at + 1} of ${last + 1}`;
    pages.querySelector("[name=previous]").disabled = at === 0;
    pages.querySelector("[name=next]").disabled = at === last;
  };
  const search = () => {
    const others = page.clips.filter(fits);
    shown = others.filter(isOfClass);
    if (orders[asked.sort.value]) shown.sort(orders[asked.sort.value]);
    if (counts.open) showCounts(others);
    show();
  };

  // --- the address keeps what is asked, so that a view can be kept and sent ----------------------

  const fields = [...asked].filter((each) => each.name);
  const remember = () => {
    const words = new URLSearchParams();
    for (const field of fields) if (field.value && field.name !== "head") words.set(field.name, field.value);
    if (head()) words.set("head", asked.head.value);
    if (at) words.set("page", at + 1);
    history.replaceState(null, "", `#${words}`);
  };
  const recall = () => {
    const words = new URLSearchParams(location.hash.slice(1));
    asked.head.value = words.get("head") || "0";
    offerClasses();
    for (const field of fields) if (field !== asked.head) field.value = words.get(field.name) ?? "";
    at = Math.max(0, (Number(words.get("page")) || 1) - 1);
    search();
  };
  const again = () => { at = 0; search(); remember(); };
  const turn = (step) => {
    at += step;
    show();
    remember();
    status.focus();
    status.scrollIntoView();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target === asked.head) offerClasses();
    again();
  });
  form.addEventListener("reset", () => setTimeout(() => { offerClasses(); again(); }));
  counts.addEventListener("toggle", search);
  counted.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { index } = button.dataset;
    asked.class.value = asked.class.value === index ? "" : index;
    again();
    counted.querySelector(`[data-index="${index}"]`).focus();
  });
  pages.querySelector("[name=previous]").addEventListener("click", () => turn(-1));
  pages.querySelector("[name=next]").addEventListener("click", () => turn(1));
  window.addEventListener("hashchange", recall);
  form.hidden = false;
  recall();
}
