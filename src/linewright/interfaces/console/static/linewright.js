// What pages do beyond links and forms: swap what changed, follow what is live, the keyboard, the reader's zone and numbers.
// Every page works without it.
"use strict";

const main = () => document.getElementById("main");
const say = (text) => { const place = document.getElementById("live"); if (place) place.textContent = text; };

// The reader's zone and numbers.

const INSTANT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function localise(root) {
  for (const each of root.querySelectorAll("time[datetime]:not([title])")) {
    const at = new Date(each.dateTime);
    if (isNaN(at)) continue;
    each.title = each.textContent;
    each.textContent = INSTANT.format(at);
  }
  for (const each of root.querySelectorAll("data[value]:not([data-shown])")) {
    each.dataset.shown = "";
    const value = Number(each.value);
    const digits = (each.textContent.match(/[.]([0-9]+)/) || ["", ""])[1].length;
    const style = each.dataset.style || "decimal";
    if (Number.isFinite(value) && !/e/i.test(each.textContent)) {
      each.textContent = value.toLocaleString(undefined, { style, minimumFractionDigits: digits, maximumFractionDigits: digits });
    }
  }
}

// Parts that a page loads into itself, and pages that take the place of others.

async function fetchPart(address, options = {}) {
  const headers = { "X-Fragment": "main", Accept: "text/html", ...(options.headers || {}) };
  const answer = await fetch(address, { credentials: "same-origin", ...options, headers });
  return { answer, ...parse(await answer.text()) };
}

function parse(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  return { title: parsed.title, nodes: [...(parsed.getElementById("main") || parsed.body).childNodes] };
}

// What stands around the main part names its place there; the rest is returned.
function placed(nodes) {
  return nodes.filter((each) => {
    const place = each.dataset?.place && document.getElementById(each.dataset.place);
    if (place && place.innerHTML !== each.innerHTML) place.replaceChildren(...each.childNodes);
    return each.nodeName !== "TITLE" && !each.dataset?.place;
  });
}

// Ends with the page that asked: what nobody looks at any more is not worked out.
let left = new AbortController();

// A busy server refuses for now (503), or as long as it works for the same person (429): ask again after the time that it names.
async function fetchPatiently(address, { signal }, tries = 4) {
  const found = await fetchPart(address, { signal });
  if (![429, 503].includes(found.answer.status) || !tries) return found;
  await new Promise((done) => setTimeout(done, 1000 * (Number(found.answer.headers.get("retry-after")) || 1)));
  return fetchPatiently(address, { signal }, tries - 1);
}

// What takes long says so: the button or link that was chosen, and what it will replace; the function that is returned ends it.
function works(button, stale) {
  const was = button && [...button.childNodes];
  button?.replaceChildren(main().dataset.works || "…");
  if (button) button.disabled = true;
  for (const each of [button, stale]) each?.setAttribute("aria-busy", "true");
  stale?.classList.add("stale");
  say(main().dataset.works || "…");
  return () => {
    button?.replaceChildren(...was);
    if (button) button.disabled = false;
    for (const each of [button, stale]) each?.removeAttribute("aria-busy");
    stale?.classList.remove("stale");
  };
}

async function loadParts(root) {
  for (const part of root.querySelectorAll("[data-load]")) {
    const address = part.dataset.load;
    part.removeAttribute("data-load");
    part.setAttribute("aria-busy", "true");
    fetchPatiently(address, left).then((found) => {
      if (part.hasAttribute("data-whole")) {  // it is a page, and takes the place of this one unless somebody has left
        if (part.isConnected) swap(found, address, { push: false, focus: false });
        return;
      }
      const { nodes } = found, heading = part.querySelector("h2");
      part.replaceChildren(...(heading ? [heading] : []), ...nodes.filter((each) => !(each.matches && each.matches("title, h1, nav, [data-place]"))));
      for (const inner of part.querySelectorAll("[data-load]")) inner.removeAttribute("data-load");  // its link stays
      part.removeAttribute("aria-busy");
      wake(part);
    }).catch(() => part.removeAttribute("aria-busy"));
  }
}

function swap({ title, nodes }, address, { push = true, focus = true } = {}) {
  left.abort();
  left = new AbortController();
  main().replaceChildren(...placed(nodes));
  if (title) document.title = title;
  if (push) history.pushState({ ours: true }, "", address);
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.getAttribute("href") === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const foot = document.querySelector(".foot a[data-plain]");
  if (foot) {
    const own = new URL(location.href);
    own.searchParams.delete("note");
    own.searchParams.set("save", "1");
    foot.href = own.pathname + own.search;
  }
  wake(main());
  if (focus) { main().focus({ preventScroll: true }); window.scrollTo(0, 0); }
  say(document.title);
}

async function visit(address, options) {
  try {
    const found = await fetchPart(address, { headers: { "X-Fragment": "page" } });
    const to = new URL(found.answer.url);
    if (to.pathname.startsWith("/sign-in")) { location.href = to.href; return; }
    swap(found, to.pathname + to.search + new URL(address, location.href).hash, options);
    follow();
  } catch { location.href = address; }
}

const isPlain = (event) => event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;

// A file that is made first: whoever waits for it sees that.
async function save(link) {
  if (link.hasAttribute("aria-busy")) return;
  const done = works(link);
  try {
    const answer = await fetch(link.href, { credentials: "same-origin" });
    const name = /filename=([^;]+)/.exec(answer.headers.get("content-disposition") || "");
    if (!answer.ok || !name) { location.href = link.href; return; }
    const made = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await answer.blob()), download: name[1] });
    made.click();
    setTimeout(() => URL.revokeObjectURL(made.href), 1000);
  } catch { location.href = link.href; } finally { done(); }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (link?.matches("[data-plain][href*='data=']") && !isPlain(event)) { event.preventDefault(); save(link); return; }
  if (!link || isPlain(event) || link.target || link.origin !== location.origin || link.hasAttribute("data-plain")) return;
  if (link.pathname === location.pathname && link.search === location.search && link.hash) return;
  if (/^[/](api|static|sign|join|openapi)/.test(link.pathname)) return;
  event.preventDefault();
  visit(link.href);
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const asks = form.dataset.confirm;
  if (asks) {
    event.preventDefault();
    if (!await isConfirmed(form, asks, event.submitter)) return;
  }
  if (form.method === "get" && form.getAttribute("action")) {
    event.preventDefault();
    const into = form.dataset.into && document.querySelector(form.dataset.into);
    const done = works(event.submitter, into || main());
    if (into) { clearTimeout(form.reloading); await reload(form); }
    else await visit(form.getAttribute("action") + "?" + new URLSearchParams(new FormData(form)));
    done();
    return;
  }
  const button = event.submitter;
  const action = (button && button.getAttribute("formaction")) || form.getAttribute("action");
  if (!action.startsWith("/do/")) return;
  event.preventDefault();
  sending += 1;
  const done = works(button);
  try {
    const fields = new FormData(form);
    if (button && button.name) fields.set(button.name, button.value);
    await sendFiles(form, fields);
    const found = await fetchPart(action, { method: "POST", body: new URLSearchParams(fields) });
    const to = new URL(found.answer.url), own = found.answer.headers.get("x-page");
    if (to.pathname.startsWith("/sign-in")) { location.href = to.href; return; }
    if (own) { swap(found, own, { push: own.split("?")[0] !== location.pathname }); main().querySelector(".problem section")?.focus(); }
    else if (found.answer.ok && !to.pathname.startsWith("/do/")) swap(found, to.pathname + to.search);
    else showProblem(form, found.nodes);
    follow();
  } catch (problem) {
    const section = Object.assign(document.createElement("section"), { className: "card bad", textContent: String(problem) });
    showProblem(form, [section]);
  } finally { sending -= 1; done(); }
});

// A question in the page: a browser may show none of its own, and then nothing would happen.
function isConfirmed(form, question, button) {
  const dialog = document.getElementById("question").content.firstElementChild.cloneNode(true);
  dialog.querySelector("p").textContent = question;
  dialog.querySelector("[value=yes]").textContent = button ? button.textContent : question;
  dialog.addEventListener("click", (event) => { if (event.target.matches("button")) dialog.close(event.target.value); });
  form.append(dialog);
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => {
    dialog.remove();
    button?.focus();
    answer(dialog.returnValue === "yes");
  }));
}

// Large files go before the form, in parts; it then names them.
async function sendFile(file, to) {
  let kept = { bytes: 0 };
  do {
    const id = kept.id ? `&id=${kept.id}` : "";
    const body = file.slice(kept.bytes, kept.bytes + 8e6);
    const headers = { "Content-Type": "application/octet-stream" };
    const address = `${to}${encodeURIComponent(file.name)}?offset=${kept.bytes}${id}`;
    const answer = await fetch(address, { method: "PUT", credentials: "same-origin", headers, body });
    const said = await answer.json();
    if (!answer.ok) throw said.message;
    kept = said;
    say(`${Math.round(100 * kept.bytes / Math.max(1, file.size))} %`);
  } while (kept.bytes < file.size);
  return kept.file;
}

async function sendFiles(form, fields) {
  for (const input of form.querySelectorAll("input[data-upload]")) if (input.files[0]) fields.set(input.dataset.for, await sendFile(input.files[0], input.dataset.upload));
}

// A picture is kept at once, and its field then names it.
async function keepPicture(input) {
  const done = works(input.form.querySelector("button"));
  try {
    const { keep, line } = input.dataset, file = input.files[0], name = file.name.replace(/[^A-Za-z0-9_.-]/g, "_").replace(/^[^A-Za-z0-9_]+/, "") || "picture";
    const sent = await sendFile(new File([file], name), `${keep}/files/`);
    const answer = await fetch(keep, { method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ line, file: sent }) });
    const said = await answer.json();
    if (!answer.ok) throw said.message;
    input.closest("label").querySelector("input[name]").value = said.digest;
    input.form.requestSubmit();
  } catch (problem) {
    showProblem(input.form, [Object.assign(document.createElement("section"), { className: "card bad", textContent: String(problem) })]);
  } finally { done(); }
}
document.addEventListener("change", (event) => { if (event.target.matches("input[data-keep]") && event.target.files[0]) keepPicture(event.target); });

// The first line of a table names its columns: what asks for one offers them.
async function readHeader(input) {
  const list = document.getElementById(input.dataset.columns);
  const line = (await input.files[0].slice(0, 65536).text()).split(/\r?\n/)[0];
  const separator = [",", ";", "\t", "|"].reduce((best, each) => line.split(each).length > line.split(best).length ? each : best);
  list.replaceChildren(...line.split(separator).map((each) => Object.assign(document.createElement("option"), { value: each.trim().replace(/^"(.*)"$/, "$1").replaceAll('""', '"') })));
}
document.addEventListener("change", (event) => { if (event.target.matches("input[data-columns]") && event.target.files[0]) readHeader(event.target); });

// What went wrong stands at the form, so that nothing that was written is lost.
function showProblem(form, nodes) {
  let box = form.parentElement.querySelector(":scope > .problem");
  if (!box) { box = document.createElement("div"); box.className = "problem"; form.after(box); }
  box.replaceChildren(...nodes.filter((each) => each.matches && each.matches("section")));
  box.querySelector("section")?.setAttribute("tabindex", "-1");
  box.querySelector("section")?.focus();
}

window.addEventListener("popstate", () => visit(location.href, { push: false }));

// Pages that change while somebody looks.

let source = null, sending = 0;

function refresh(nodes) {
  if (sending || main().querySelector("form:focus-within, dialog[open], :popover-open")) return;  // nobody is disturbed while writing
  const open = [...main().querySelectorAll("details[open] > summary")].map((each) => each.textContent);
  const tails = [...main().querySelectorAll("[data-tail]")].map((each) => [each.scrollTop, each.scrollTop + each.clientHeight < each.scrollHeight - 8]);
  main().replaceChildren(...placed(nodes));
  for (const each of main().querySelectorAll("details > summary")) if (open.includes(each.textContent)) each.parentElement.open = true;
  wake(main());
  main().querySelectorAll("[data-tail]").forEach((each, at) => { if (tails[at]?.[1]) each.scrollTop = tails[at][0]; });  // who reads stays there
}

const followed = () => location.pathname + location.search.replace(/[?&]note=[^&]*/, "");

function follow() {
  source?.close();
  source = null;
  if (!document.getElementById("news") || document.hidden) return;
  const have = main()?.querySelector("[data-live]")?.dataset.live;
  source = new EventSource(followed() + (have ? (location.search ? "&" : "?") + "have=" + have : ""));
  source.addEventListener("page", (event) => refresh(parse(event.data).nodes));
  source.addEventListener("around", (event) => placed(parse(event.data).nodes));
}

// A browser opens few connections to one server: a tab that nobody sees gives its own up, and catches up when it is seen again.
document.addEventListener("visibilitychange", async () => {
  if (!document.hidden && main()?.querySelector("[data-live]")) await fetchPart(followed()).then(({ nodes }) => refresh(nodes)).catch(() => null);
  follow();
});

// The keyboard.

const GO = { f: "/", a: "/alerts", i: "/inbox", p: "/proposals", v: "/goals" };
let waits = 0;

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
  if (event.target.closest("input, textarea, select, [contenteditable]") || event.metaKey || event.ctrlKey || event.altKey) return;
  const chosen = main().querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (Date.now() < waits) {
    waits = 0;
    if (event.key === "l") { document.querySelector("[data-search]")?.focus(); event.preventDefault(); return; }
    if (GO[event.key]) { event.preventDefault(); visit(GO[event.key]); return; }
  }
  if (event.key === "g") waits = Date.now() + 1500;
  else if (event.key === "/") { document.querySelector("[data-search]")?.focus(); event.preventDefault(); }
  else if (event.key === "?") say(document.querySelector(".foot span")?.textContent || "");
  else if (chosen) { event.preventDefault(); chosen.click(); }
});

// Filters: rows of a table that hold what was written stay.

document.addEventListener("input", (event) => {
  const filter = event.target.closest("[data-filter]");
  if (filter) {
    const wanted = filter.value.toLowerCase();
    for (const row of document.querySelectorAll(filter.dataset.filter)) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }
  const twin = event.target.dataset.mirror && document.getElementById(event.target.dataset.mirror);
  if (twin) twin.value = event.target.value;
  const slider = event.target.closest("[data-reload]") || (twin && twin.closest("[data-reload]"));
  if (slider) {
    const shown = slider.form.querySelector(`output[for="${slider.id}"]`);
    if (shown) shown.textContent = slider.value;
    clearTimeout(slider.form.reloading);
    slider.form.reloading = setTimeout(() => reload(slider.form, slider.dataset.reload), slider.dataset.reload ? 500 : 150);
  }
});

// A form whose values change a part of its page, such as sliders, or a text that is looked at while it is written.
async function reload(form, check) {
  const place = document.querySelector(form.dataset.into), fields = new URLSearchParams(new FormData(form));
  form.asking?.abort();
  form.asking = new AbortController();
  const signal = form.asking.signal, address = check || `${form.getAttribute("action")}?${fields}`;
  const done = works(null, place);
  const found = await fetchPart(address, check ? { method: "POST", body: fields, signal } : { signal }).catch(() => null);
  if (!signal.aborted) done();
  if (!found) return;
  const inner = found.nodes.find((each) => each.matches && each.matches(form.dataset.into))
    || found.nodes.map((each) => each.querySelector && each.querySelector(form.dataset.into)).find(Boolean);
  if (!place || !inner) return;
  const typed = [...place.querySelectorAll("textarea")].filter((each) => each.value !== each.defaultValue);
  place.replaceChildren(...inner.childNodes);
  wake(place);
  for (const { name, value } of typed) {  // what somebody was writing stays
    const same = place.querySelector(`textarea[name="${CSS.escape(name)}"]`);
    if (same) same.value = value;
  }
  if (!check && location.pathname === form.getAttribute("action")) history.replaceState(history.state, "", address);
}

// What a word means, also by keyboard.

let tip = null;
function hideTip() { tip?.remove(); tip = null; }
document.addEventListener("focusin", (event) => {
  hideTip();
  const word = event.target.closest("abbr[title]");
  if (!word) return;
  tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "tooltip");
  tip.textContent = word.title;
  word.after(tip);
});
document.addEventListener("focusout", hideTip);

// How long somebody looks at a question before they answer it.
function clock(root) {
  for (const form of root.querySelectorAll("form[data-clock]")) {
    const began = performance.now();
    form.addEventListener("submit", () => { form.querySelector(`[name="${form.dataset.clock}"]`).value = ((performance.now() - began) / 1000).toFixed(3); }, { capture: true });
  }
}

function wake(root) {
  for (const each of root.querySelectorAll("[data-script]")) each.hidden = false;
  for (const each of root.querySelectorAll(".tabs [aria-current], nav [aria-current]")) each.parentNode.scrollLeft = each.offsetLeft - each.parentNode.offsetLeft - 40;
  for (const each of root.querySelectorAll("[data-tail]")) each.scrollTop = each.scrollHeight;
  localise(root); loadParts(root); clock(root); }
document.addEventListener("DOMContentLoaded", () => { wake(document); follow(); });
