"use strict";
{
  // Names of classes and messages of errors come from others: all text is set as text, never as HTML.
  const at = (selector, inside = document) => inside.querySelector(selector);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const share = (part) => `${100 * part}%`; // of CSS, which has no space there
  const number = new Intl.NumberFormat("en");
  const counted = (count) => `${number.format(count)} ${count === 1 ? "frame" : "frames"}`;
  const clock = (seconds) => {
    const minutes = Math.floor(seconds / 60);
    return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
  };
  const COLOURS = 8, TOP = 5;
  const LONG_SECONDS = 20, WINDOW_SECONDS = 2; // a longer video is asked about in windows, at first
  const colours = new Map();
  const colourOf = (label) => { // the same for a label wherever it stands, by order of appearance
    if (!colours.has(label)) colours.set(label, `--s${colours.size % COLOURS}`);
    return colours.get(label);
  };
  const shade = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const show = (element, text = "") => {
    element.textContent = text;
    element.hidden = !text;
  };

  // --- models: the one that is served, and perhaps another beside it ------------------------------

  let models = [];

  const ask = async (path, options) => {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer. Is it still running?");
    }
    if (answer.ok) return answer.json();
    throw new Error(saidBy(await answer.text(), answer.status, answer.headers.get("Retry-After")));
  };
  const saidBy = (text, status, retry) => {
    let said = { message: `the server answers with ${status}`, hint: "" };
    try {
      said = JSON.parse(text).error ?? said;
    } catch { /* not JSON: a proxy's page, of which the status says enough */ }
    const hint = retry ? `try again in ${retry} s` : said.hint;
    return hint ? `${sentence(said.message)} ${sentence(hint)}` : sentence(said.message);
  };
  const sentence = (text) => {
    const whole = text.charAt(0).toUpperCase() + text.slice(1);
    return /[.?!]$/.test(whole) ? whole : `${whole}.`;
  };

  /** The column of one model: its name, its answers, and where it looks. */
  class Column {
    constructor(base, about) {
      this.base = base;
      this.about = about;
      this.root = at("#column").content.firstElementChild.cloneNode(true);
      at("h2", this.root).textContent = about.name;
      this.looks = at(".looks", this.root);
      this.heat = at("input", this.looks);
      this.heat.addEventListener("change", () => this.drawLooks());
      at("select", this.looks).addEventListener("change", () => this.explain());
      this.clear();
    }

    clear() {
      this.root.hidden = true;
      for (const part of this.root.querySelectorAll(".now, .track, .parts, .looks")) part.hidden = true;
      for (const part of [".bars", ".strip", ".legend"]) at(part, this.root).replaceChildren();
      delete at(".legend", this.root).dataset.labels;
      show(at(".note", this.looks));
      show(at(".took", this.root));
      this.file = this.seen = this.part = null;
      this.past = [];
    }

    /** How many training clips a class has, and its place among the others. */
    rarity(head, label) {
      const counts = this.about.class_counts[head];
      const index = (this.about.heads[head] ?? []).indexOf(label);
      if (!counts || index < 0) return "";
      const own = counts[index];
      const rank = 1 + counts.filter((count) => count > own).length;
      const clips = own === 1 ? "1 training clip" : `${number.format(own)} training clips`;
      const place = `no. ${number.format(rank)} of ${number.format(counts.length)} classes by frequency`;
      return counts.every((count) => count === own) ? clips : `${clips}; ${place}`;
    }

    showBars(answers) {
      const bars = at(".bars", this.root);
      bars.replaceChildren();
      let last = this.firstHead();
      answers.forEach((each, i) => { // those of a head follow each other
        if (each.head && (each.head !== last || !i)) bars.append(make("h3", "", each.head));
        last = each.head ?? last;
        bars.append(this.bar(last, each));
      });
    }

    bar(head, { label, score }) {
      const row = make("div", "bar"), sure = make("data", "", percent(score)), bar = make("i");
      sure.value = score;
      bar.style.setProperty("--share", share(score));
      row.append(make("b", "", label), sure, bar);
      const rare = this.rarity(head, label);
      if (rare) row.append(make("small", "", rare));
      return row;
    }

    firstHead() {
      return Object.keys(this.about.heads)[0];
    }

    showAnswer(said, file) {
      this.clear();
      this.root.hidden = false;
      this.file = file;
      this.part = said.timeline?.[0] ?? null; // of a long video one part is looked into at a time
      if (said.timeline) this.showParts(said);
      else this.showBars(said.answers);
      const { frames, seconds, width, height } = said.clip;
      show(at(".took", this.root), `${counted(frames)}, ${seconds.toFixed(1)} s, `
        + `${width} × ${height}; answered in ${said.took_seconds.toFixed(2)} s`
        + (said.warning ? `. Warning: ${said.warning}` : ""));
      this.offerClasses(said.answers);
      return this.explain();
    }

    showParts({ timeline, clip }) {
      const parts = at(".parts", this.root), line = at(".line", parts);
      const first = timeline.filter((each) => !each.head || each.head === this.firstHead());
      const jump = (each) => () => {
        const video = at("#video");
        video.currentTime = each.start;
        video.play().catch(() => {});
        this.part = each;
        at("select", this.looks).value = this.classOf(each);
        this.explain();
      };
      line.replaceChildren(...first.map((each) => {
        const part = make("button", "", each.label);
        part.type = "button";
        part.style.left = share(each.start / clip.seconds);
        part.style.width = share((each.end - each.start) / clip.seconds);
        part.style.setProperty("--colour", `var(${colourOf(each.label)})`);
        part.title = `${each.label}, ${clock(each.start)} to ${clock(each.end)}, ${percent(each.score)}`;
        part.setAttribute("aria-label", `Play ${part.title}`);
        part.addEventListener("click", jump(each));
        return part;
      }));
      at("ol", parts).replaceChildren(...timeline.map((each) => {
        const row = make("li");
        row.append(
          make("time", "", `${clock(each.start)}–${clock(each.end)}`),
          make("span", "", each.head ? `${each.head}: ${each.label}` : each.label),
          make("data", "", percent(each.score)),
        );
        return row;
      }));
      parts.hidden = false;
      if (!timeline.length) at("ol", parts).append(make("li", "", "Nothing is seen for sure."));
    }

    // --- where it looks --------------------------------------------------------------------------

    offerClasses(answers) {
      const found = new Map(answers.map((each) => [
        this.classOf(each), each.head ? `${each.head}: ${each.label}` : each.label,
      ]));
      const options = [...found].map(([value, text]) => new Option(text, value));
      at("select", this.looks).replaceChildren(...options);
      if (this.part) at("select", this.looks).value = this.classOf(this.part);
    }

    classOf({ head, label }) {
      return `${head ?? this.firstHead()}\n${label}`;
    }

    async explain() {
      const { file, part } = this, [head, label] = at("select", this.looks).value.split("\n");
      if (!file || !label) return;
      this.looks.hidden = false;
      this.looks.setAttribute("aria-busy", "true");
      show(at(".note", this.looks), "Looking for what speaks for this class …");
      const form = new FormData(), words = new URLSearchParams({ head, label });
      form.append("file", file);
      if (part) words.set("start", part.start);
      if (part) words.set("end", part.end);
      const wanted = this.wanted = words;
      try {
        const seen = await ask(`${this.base}v1/explain?${words}`, { method: "POST", body: form });
        if (this.file === file && this.wanted === wanted) await this.showLooks(seen);
      } catch (error) {
        if (this.file !== file || this.wanted !== wanted) return;
        this.seen = null;
        at(".strip", this.looks).replaceChildren();
        show(at(".note", this.looks), error.message);
      } finally {
        this.looks.removeAttribute("aria-busy");
      }
    }

    async showLooks(seen) {
      this.seen = await Promise.all(seen.frames.map(async (frame) => {
        const image = new Image();
        image.src = frame.image;
        await image.decode();
        return { ...frame, picture: image };
      }));
      const nothing = seen.frames.every((frame) => frame.heat.flat().every((heat) => heat === 0));
      const note = seen.way === "attention"
        ? "Where the model's class token looks; it is the same for every class."
        : nothing
          ? `Nothing in these frames speaks for “${seen.label}”.`
          : `What speaks for “${seen.label}” (Grad-CAM): a hint, not a proof.`;
      show(at(".note", this.looks), note);
      this.drawLooks();
    }

    drawLooks() {
      at(".strip", this.looks).replaceChildren(...(this.seen ?? []).map((frame) => {
        const figure = make("figure"), canvas = make("canvas");
        canvas.width = frame.picture.naturalWidth;
        canvas.height = frame.picture.naturalHeight;
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `frame at ${clock(frame.seconds)}`);
        const pen = canvas.getContext("2d");
        pen.drawImage(frame.picture, 0, 0);
        if (this.heat.checked) pen.drawImage(heatOf(frame.heat), 0, 0, canvas.width, canvas.height);
        figure.append(canvas, make("figcaption", "", clock(frame.seconds)));
        return figure;
      }));
    }

    // --- live ------------------------------------------------------------------------------------

    /** Of a model that looks at windows most frames have no answer of their own: the last one stays. */
    showLive(said) {
      if (!said.top.length) return;
      this.root.hidden = false;
      const now = at(".now", this.root);
      now.hidden = false;
      at("b", now).textContent = said.label ?? "nothing for sure";
      at("span", now).textContent = said.label === null ? "" : percent(said.score);
      const head = this.firstHead();
      const best = said.top.map(([label, score]) => this.bar(head, { label, score }));
      at(".bars", this.root).replaceChildren(...best);
      this.past.push({ seconds: said.seconds, label: said.label, score: said.score ?? 0 });
      this.drawTrack();
    }

    /** The last minute, newest at the right: a bar an answer, as high as the model is sure. */
    drawTrack() {
      const SPAN = 60, track = at(".track", this.root), canvas = at("canvas", track);
      track.hidden = false;
      at("h3", track).textContent = "The last minute";
      const now = this.past.at(-1).seconds;
      this.past = this.past.filter((each) => each.seconds > now - SPAN);
      canvas.width = Math.max(1, canvas.clientWidth);
      const pen = canvas.getContext("2d"), { width, height } = canvas;
      const x = (seconds) => width * (1 - (now - seconds) / SPAN);
      this.past.forEach((each, i) => {
        if (each.label === null) return;
        const left = Math.floor(i ? x(this.past[i - 1].seconds) : x(each.seconds - 0.1));
        const high = Math.max(2, Math.round(height * each.score));
        pen.fillStyle = shade(colourOf(each.label));
        pen.fillRect(left, height - high, Math.floor(x(each.seconds)) - left, high);
      });
      const labels = [...new Set(this.past.map((each) => each.label).filter((each) => each))];
      const legend = at(".legend", track);
      if (legend.dataset.labels === labels.join("\n")) return;
      legend.dataset.labels = labels.join("\n");
      legend.replaceChildren(...labels.map((label) => {
        const entry = make("li", "", label);
        entry.style.setProperty("--colour", `var(${colourOf(label)})`);
        return entry;
      }));
    }
  }

  /** Heat [h w] in [0, 1] as a picture to lay over a frame: clear, red, yellow. */
  const heatOf = (rows) => {
    const canvas = make("canvas");
    canvas.height = rows.length;
    canvas.width = rows[0].length;
    const pen = canvas.getContext("2d"), pixels = pen.createImageData(canvas.width, canvas.height);
    rows.flat().forEach((heat, i) => {
      pixels.data.set([255, Math.round(40 + 200 * heat ** 1.5), 20, Math.round(150 * heat)], 4 * i);
    });
    pen.putImageData(pixels, 0, 0);
    return canvas;
  };

  // --- a video -------------------------------------------------------------------------------------

  const form = at("#file form"), video = at("#video"), sending = at("#sending"), fault = at("#fault");
  let asked = null; // what is under way: its requests, to stop them

  /** Send a file to one model; XMLHttpRequest, as fetch does not tell how much is sent. */
  const send = (base, file, window, progress, requests) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(), body = new FormData();
    requests.push(request);
    body.append("file", file);
    const words = new URLSearchParams({ top: TOP });
    if (window) words.set("window", window);
    request.open("POST", `${base}v1/predict?${words}`);
    request.upload.addEventListener("progress", (event) => progress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status === 200) return resolve(JSON.parse(request.responseText));
      const retry = request.getResponseHeader("Retry-After");
      return reject(new Error(saidBy(request.responseText, request.status, retry)));
    });
    request.addEventListener("error", () => {
      reject(new Error("The server did not take the video. Is it still running, and is the file not too large?"));
    });
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    request.send(body);
  });

  const predict = async (file) => {
    stop();
    show(fault);
    const mine = asked = [];
    const most = models[0].about.limits.bytes;
    if (most && file.size > most) {
      show(fault, `${file.name} has ${mega(file.size)} MB; this server takes ${mega(most)} MB.`);
      return;
    }
    for (const model of models) model.clear();
    sending.hidden = false;
    const bar = at("progress", sending), said = at("span", sending), sent = models.map(() => 0);
    const progress = (index) => (share) => {
      sent[index] = share;
      const whole = sent.reduce((a, b) => a + b, 0) / sent.length;
      if (whole < 1) bar.value = whole;
      else bar.removeAttribute("value"); // all is sent: how long the model takes nobody knows
      said.textContent = whole < 1 ? `sending ${file.name}` : "the model looks at it";
    };
    progress(0)(0);
    const window = form.elements.window.value;
    const answers = models.map(async (model, i) => {
      const answer = await send(model.base, file, window, progress(i), mine);
      if (asked === mine) model.showAnswer(answer, file);
    });
    const ends = await Promise.allSettled(answers);
    if (asked !== mine) return;
    sending.hidden = true;
    const reasons = new Set(ends.filter((each) => each.reason).map((each) => each.reason));
    const messages = new Set([...reasons].filter((each) => each.name !== "AbortError").map((each) => each.message));
    show(fault, [...messages].join(" "));
  };
  const mega = (bytes) => (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0);
  const stop = () => {
    for (const request of asked ?? []) request.abort();
    asked = null;
    sending.hidden = true;
  };

  let file = null;
  const take = (chosen) => {
    file = chosen;
    at("#drop span").replaceChildren(make("b", "", file.name), " · choose another");
    if (video.src) URL.revokeObjectURL(video.src);
    video.hidden = false;
    form.elements.window.value = "";
    video.src = URL.createObjectURL(file);
    // What the browser cannot play the server may read all the same: it is sent either way.
    const known = new Promise((resolve) => {
      video.onloadedmetadata = () => resolve(video.duration);
      video.onerror = () => { video.hidden = true; resolve(0); };
      setTimeout(() => resolve(0), 3000);
    });
    known.then((seconds) => {
      if (file !== chosen) return;
      if (Number.isFinite(seconds) && seconds > LONG_SECONDS) form.elements.window.value = WINDOW_SECONDS;
      predict(file);
    });
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.file.addEventListener("change", (event) => {
    const [chosen] = event.target.files;
    if (chosen) take(chosen);
    event.target.value = ""; // so that the same file may be chosen again
  });
  form.elements.window.addEventListener("change", () => { if (file) predict(file); });
  at("button", sending).addEventListener("click", stop);
  const drop = at("#drop");
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault(); // else the browser leaves the page for the file
      drop.classList.toggle("over", type === "dragenter" || type === "dragover");
    });
  }
  document.addEventListener("drop", (event) => {
    const [dropped] = event.dataTransfer.files;
    if (dropped && !at("#file").hidden) take(dropped);
  });

  // --- the camera ----------------------------------------------------------------------------------

  const live = at("#live"), pace = at("#pace"), cameraFault = at("#camera-fault");
  const FRAMES_A_SECOND = 15, MOST_UNANSWERED = 2;
  let camera = null;

  class Camera {
    constructor(stream) {
      this.stream = stream;
      this.canvas = make("canvas");
      this.links = models.map((model) => this.link(model));
      this.timer = setInterval(() => this.send(), 1000 / FRAMES_A_SECOND);
      for (const track of stream.getTracks()) {
        track.addEventListener("ended", () => this.end("The camera has stopped."));
      }
    }

    link(model) {
      model.clear();
      const asked = new URLSearchParams({ top: TOP, head: model.firstHead() });
      const address = new URL(`${model.base}v1/stream?${asked}`, location.href);
      address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
      const socket = new WebSocket(address);
      const link = { socket, model, sent: [], answers: [] };
      socket.addEventListener("message", (event) => this.hear(link, JSON.parse(event.data)));
      socket.addEventListener("close", (event) => {
        if (camera === this) this.end(event.reason ? sentence(event.reason) : "The server ended the stream.");
      });
      return link;
    }

    send() {
      if (!live.videoWidth) return;
      const free = this.links.filter(({ socket, sent }) => (
        socket.readyState === WebSocket.OPEN && sent.length < MOST_UNANSWERED && !socket.bufferedAmount
      ));
      if (!free.length || this.busy) return;
      const short = Math.max(...free.map(({ model }) => model.about.size)) * 1.15;
      const scale = Math.min(1, short / Math.min(live.videoWidth, live.videoHeight));
      this.canvas.width = Math.round(live.videoWidth * scale);
      this.canvas.height = Math.round(live.videoHeight * scale);
      this.canvas.getContext("2d").drawImage(live, 0, 0, this.canvas.width, this.canvas.height);
      this.busy = true;
      this.canvas.toBlob((jpeg) => {
        this.busy = false;
        if (!jpeg) return;
        for (const { socket, sent } of free) {
          if (socket.readyState !== WebSocket.OPEN) continue;
          socket.send(jpeg); // a Blob goes as binary
          sent.push(performance.now());
        }
      }, "image/jpeg", 0.85);
    }

    hear(link, said) {
      const now = performance.now(), started = link.sent.shift();
      if (said.error) {
        show(cameraFault, saidBy(JSON.stringify(said), 0));
        return;
      }
      if ((said.dropped ?? 0) > (link.dropped ?? 0)) link.sent.splice(0, said.dropped - (link.dropped ?? 0));
      link.dropped = said.dropped ?? 0;
      link.answers = [...link.answers.filter((each) => each > now - 2000), now];
      link.model.showLive(said);
      if (link !== this.links[0] || now < (this.told ?? 0) + 1000) return;
      this.told = now; // once a second, so that a screen reader can follow
      pace.textContent = `${counted(Math.round(link.answers.length / 2))} a second, each answered after `
        + `${Math.round(now - (started ?? now))} ms; ${counted(link.dropped)} dropped`;
    }

    end(reason = "") {
      if (camera !== this) return;
      camera = null;
      clearInterval(this.timer);
      for (const { socket } of this.links) socket.close();
      for (const track of this.stream.getTracks()) track.stop();
      live.srcObject = null;
      live.hidden = at("#stop").hidden = true;
      at("#start").hidden = false;
      pace.textContent = "";
      if (reason) show(cameraFault, reason);
    }
  }

  at("#start").addEventListener("click", async () => {
    show(cameraFault);
    at("#start").disabled = true;
    try {
      if (!navigator.mediaDevices) {
        throw new Error("A browser gives the camera to pages of this machine or of https alone.");
      }
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
      live.srcObject = stream;
      live.hidden = at("#stop").hidden = false;
      at("#start").hidden = true;
      await live.play();
      camera = new Camera(stream);
    } catch (error) {
      const reasons = {
        NotAllowedError: "The camera was not allowed: allow it beside the address of this page.",
        NotFoundError: "There is no camera.",
        NotReadableError: "The camera is in use by another program.",
      };
      show(cameraFault, reasons[error.name] ?? error.message);
    } finally {
      at("#start").disabled = false;
    }
  });
  at("#stop").addEventListener("click", () => camera?.end());

  // --- between the two -----------------------------------------------------------------------------

  const choose = (way) => {
    for (const each of ["file", "camera"]) {
      at(`#${each}`).hidden = each !== way;
      at(`#by-${each}`).setAttribute("aria-pressed", String(each === way));
    }
    camera?.end();
    stop();
    video.pause();
    for (const model of models) model.clear();
  };
  at("#by-file").addEventListener("click", () => choose("file"));
  at("#by-camera").addEventListener("click", () => choose("camera"));

  const begin = async () => {
    const bases = await ask("page/models.json");
    const abouts = await Promise.all(bases.map((base) => ask(`${base}v1/model`)));
    models = abouts.map((about, i) => new Column(bases[i], about));
    at("#results").append(...models.map((model) => model.root));
    const classes = (about) => Object.values(about.heads).map((names) => number.format(names.length)).join(" + ");
    at("#models").textContent = abouts.map((about) => `${about.name}: ${classes(about)} classes`).join("; ");
    document.title = `${abouts.map((about) => about.name).join(", ")} · marey`;
    const { bytes, seconds } = abouts[0].limits;
    if (bytes && seconds) at("#limits").textContent = `up to ${mega(bytes)} MB and ${number.format(seconds)} s`;
  };
  begin().catch((error) => { show(fault, error.message); });
}
