import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { address } from "./address";
import { get, loggedIn, logOut, silentSince } from "./api/client";
import { useLive } from "./api/live";
import { BatchPage } from "./pages/batch";
import { ComparePage } from "./pages/compare";
import { FindingsPage } from "./pages/findings";
import { LogIn } from "./pages/login";
import { NewRunPage } from "./pages/new_run";
import { RunPage } from "./pages/run";
import { RunsPage } from "./pages/runs";
import { ServerPage } from "./pages/server";
import { Mark } from "./parts/icons";
import { Failure, Loading } from "./parts/states";
import { clock } from "./words";

export function App(): JSX.Element {
  if (loggedIn.value === false) return <LogIn />;
  if (loggedIn.value === null) return <Begin />;
  return (
    <>
      <a class="skip" href="#main">
        To the content
      </a>
      <Top />
      <Silence />
      <Page path={address.value.path} />
    </>
  );
}

const PAGES: Record<string, () => JSX.Element> = {
  "/compare": ComparePage,
  "/findings": FindingsPage,
  "/new": NewRunPage,
  "/server": ServerPage,
};
const LINKS = [
  ["/", "Runs"],
  ["/new", "New run"],
  ["/server", "Server"],
  ["/findings", "Findings"],
] as const;

function Page({ path }: { path: string }): JSX.Element {
  const run = /^\/runs\/([0-9a-f]{16})$/.exec(path)?.[1];
  if (run !== undefined) return <RunPage key={run} id={run} />;
  const batch = /^\/batches\/([0-9a-f]{16})$/.exec(path)?.[1];
  if (batch !== undefined) return <BatchPage key={batch} id={batch} />;
  const Chosen = PAGES[path] ?? RunsPage;
  return <Chosen />;
}

/** Asks whose session this is before anything is drawn. */
function Begin(): JSX.Element {
  const live = useLive(
    "begin",
    () => get("/v1/caller"),
    () => null,
  );
  const { problem } = live;
  return (
    <main id="main">
      {problem.value === null ? (
        <Loading what="the pages" />
      ) : (
        <Failure what="The service" problem={problem.value} again={() => void live.refresh()} />
      )}
    </main>
  );
}

function Top(): JSX.Element {
  const caller = useLive(
    "caller",
    () => get("/v1/caller"),
    () => null,
  );
  const who = caller.value.value;
  return (
    <header class="top">
      <a class="brand" href="/">
        <Mark /> GAN Clinic
      </a>
      <nav aria-label="Pages">
        {LINKS.map(([path, title]) => (
          <a key={path} href={path} aria-current={address.value.path === path ? "page" : undefined}>
            {title}
          </a>
        ))}
      </nav>
      <span class="spacer" />
      {who !== null && <span class="who">{who.team === null ? who.user : `${who.user} · ${who.team}`}</span>}
      <button type="button" class="quiet" onClick={() => void logOut().catch(() => undefined)}>
        Log out
      </button>
    </header>
  );
}

/** Says that what is shown is old, where the service does not answer. */
function Silence(): JSX.Element {
  const said = useSignal("");
  said.value =
    silentSince.value === null
      ? ""
      : `The service has not answered since ${clock(silentSince.value)}. What you see is from then; the page goes on by itself.`;
  return (
    <div role="status" class={said.value ? "silence" : "silence none"}>
      {said.value}
    </div>
  );
}
