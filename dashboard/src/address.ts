// The page that the address names, and the filters in its query.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

export interface Address {
  path: string;
  query: Record<string, string>;
}

function read(): Address {
  return { path: location.pathname, query: Object.fromEntries(new URLSearchParams(location.search)) };
}

export const address = signal<Address>(typeof location === "undefined" ? { path: "/", query: {} } : read());

export function follow(): void {
  addEventListener("popstate", () => {
    address.value = read();
  });
  addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (link === null || !plain || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || !isPage(link.pathname) || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

/** Whether these pages draw what lies there. */
export function isPage(path: string): boolean {
  return (
    ["/", "/compare", "/findings", "/new", "/server"].includes(path) || /^\/(runs|batches)\/[0-9a-f]{16}$/.test(path)
  );
}

export function go(to: string): void {
  history.pushState(null, "", to);
  address.value = read();
  scrollTo(0, 0);
}

/** Changes some of the query's fields, in place: the way back leads past them. Empty ones are left out. */
export function refine(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  history.replaceState(null, "", text ? `${location.pathname}?${text}` : location.pathname);
  address.value = read();
}

/** What the window is called while the page is shown. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · GAN Clinic`;
    return () => {
      document.title = "GAN Clinic";
    };
  }, [title]);
}
