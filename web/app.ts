import type { SttSession } from "../js/stt-client/src/index.js";
import { Chat } from "./chat.js";
import { announce, byId } from "./dom.js";
import { Files } from "./files.js";
import { Link, type LinkState } from "./link.js";
import { removeStaleFiles } from "./storage.js";

// The page of `sealine web`: a seed, a session that comes back by itself, chat, files both ways.
// The seed stays in this tab: typed, or behind the # of the address, which no browser sends.

const seedKey = "sealine.seed"; // of the tab's own storage, gone with it

const body = document.body;
const gate = byId("gate");
const room = byId("room");
const seedForm = byId<HTMLFormElement>("seed-form");
const seedInput = byId<HTMLInputElement>("seed");
const seedError = byId("seed-error");
const reveal = byId<HTMLButtonElement>("reveal");
const connectButton = byId<HTMLButtonElement>("connect");
const pill = byId("pill");
const pillText = byId("pill-text");
const banner = byId("banner");
const bannerText = byId("banner-text");
const tabs = { chat: byId("tab-chat"), files: byId("tab-files") };
const dots = { chat: byId("dot-chat"), files: byId("dot-files") };
type View = keyof typeof tabs;

let sessions = 0;
let unread = 0;
let countdown: number | undefined;

const files = new Files(() => arrived("files"));
const chat = new Chat(
  () => arrived("chat"),
  (pasted) => files.sendAll(pasted),
);
const scheme = location.protocol === "https:" ? "wss" : "ws";
const link = new Link(`${scheme}://${location.host}/stt`, show, (message) => {
  forgetSeed();
  seedError.textContent = message;
  seedInput.setAttribute("aria-invalid", "true");
  seedInput.focus();
  seedInput.select();
});

function show(state: LinkState): void {
  clearInterval(countdown);
  body.dataset["link"] = state.kind;
  connectButton.disabled = state.kind === "connecting";
  connectButton.textContent = state.kind === "connecting" ? "Connecting…" : "Connect";
  if (state.kind === "online") {
    welcome(state.session);
    return;
  }
  files.use(undefined);
  const wasThere = sessions > 0;
  if (state.kind === "offline") {
    showGate();
  } else if (state.kind === "connecting") {
    pillText.textContent = wasThere ? "Reconnecting" : "Connecting";
  } else {
    pillText.textContent = "Reconnecting";
    if (!wasThere) seedError.textContent = state.why;
    const tell = (): void => {
      const seconds = Math.max(0, Math.ceil((state.until - Date.now()) / 1000));
      bannerText.textContent = `${state.why} Trying again in ${seconds} s.`;
    };
    banner.hidden = !wasThere;
    tell();
    countdown = window.setInterval(tell, 1000);
    if (wasThere) announce(`Connection lost. ${state.why}`);
  }
}

function welcome(session: SttSession): void {
  gate.hidden = true;
  room.hidden = false;
  pill.hidden = false;
  banner.hidden = true;
  seedError.textContent = "";
  seedInput.removeAttribute("aria-invalid");
  seedInput.value = "";
  pillText.textContent = "Sealed";
  byId("fact-session").textContent = session.id.replace(/(.{4})(?=.)/g, "$1 ");
  byId("fact-secrecy").textContent = session.forwardSecrecy ? "Yes, fresh keys" : "No";
  ++sessions;
  chat.note(sessions === 1 ? "Sealed from this page to the command line" : "Back, in a new session");
  announce(sessions === 1 ? "Connected" : "Connected again, in a new session");
  files.use(session);
  void chat.run(session);
  void acceptFiles(session);
  if (sessions === 1 && matchMedia("(pointer: fine)").matches) byId("message").focus();
}

async function acceptFiles(session: SttSession): Promise<void> {
  for (let next = await session.accept(); next !== undefined; next = await session.accept()) {
    if (next.options.mode === "ordered") files.receive(next);
    else next.refuse(256);
  }
}

function showGate(): void {
  gate.hidden = false;
  room.hidden = true;
  pill.hidden = true;
  banner.hidden = true;
  sessions = 0;
  byId<HTMLDetailsElement>("details").open = false;
}

function forgetSeed(): void {
  sessionStorage.removeItem(seedKey);
}

function begin(seed: string): void {
  seedError.textContent = "";
  sessionStorage.setItem(seedKey, seed);
  link.start(seed);
}

// --- what there is to see, on a small screen: one of two

function view(name: View): void {
  body.dataset["view"] = name;
  for (const [key, tab] of Object.entries(tabs)) {
    tab.setAttribute("aria-selected", String(key === name));
    tab.tabIndex = key === name ? 0 : -1;
  }
  dots[name].hidden = true;
}

function arrived(where: View): void {
  if (body.dataset["view"] !== where) dots[where].hidden = false;
  if (!document.hidden) return;
  ++unread;
  document.title = `(${unread}) Sealine`;
}

for (const [key, tab] of Object.entries(tabs)) {
  tab.addEventListener("click", () => view(key as View));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = key === "chat" ? "files" : "chat";
    view(other);
    tabs[other].focus();
  });
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  document.title = "Sealine";
});

// --- the seed

seedForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const seed = seedInput.value.trim();
  if (seed === "") {
    seedError.textContent = "Type or paste the seed first.";
    seedInput.focus();
    return;
  }
  begin(seed);
});
seedInput.addEventListener("input", () => {
  seedError.textContent = "";
  seedInput.removeAttribute("aria-invalid");
});
reveal.addEventListener("click", () => {
  const isShown = seedInput.type === "text";
  seedInput.type = isShown ? "password" : "text";
  reveal.setAttribute("aria-pressed", String(!isShown));
  reveal.textContent = isShown ? "Show" : "Hide";
});
byId("retry").addEventListener("click", () => link.retryNow());
byId("leave").addEventListener("click", () => {
  forgetSeed();
  link.stop();
  seedInput.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") byId<HTMLDetailsElement>("details").open = false;
});

function takeFragment(): string {
  const seed = decodeURIComponent(location.hash.slice(1));
  // Out of the address bar and of the history, where it would be read by others.
  if (seed !== "") history.replaceState(null, "", location.pathname + location.search);
  return seed;
}

window.addEventListener("hashchange", () => {
  const seed = takeFragment();
  if (seed !== "") begin(seed);
});

view("chat");
void removeStaleFiles();
const known = takeFragment() || (sessionStorage.getItem(seedKey) ?? "");
if (known !== "") begin(known);
else showGate();
