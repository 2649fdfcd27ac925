// Requests to the API. Each error is a Refused, with the problem document's own words, or Unreachable.
import { signal } from "@preact/signals";
import type { BodyOf, GetPath, Got, Posted, PostPath, Problem, PutPath, QueryOf } from "./types";

/** Whether the browser has a session; null until the first answer. */
export const loggedIn = signal<boolean | null>(null);
/** When the service stopped answering, in ms since 1970; null while it answers. */
export const silentSince = signal<number | null>(null);

export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail ?? problem.title);
  }
}

export class Unreachable extends Error {
  constructor() {
    super("The service does not answer.");
  }
}

type Params = Record<string, string | number>;

export function fill(path: string, params: Params = {}): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(params[name] ?? "")));
}

export function withQuery(path: string, query: object = {}): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") given.append(name, String(one));
    }
  }
  const text = given.toString();
  return text ? `${path}?${text}` : path;
}

async function send(path: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    silentSince.value ??= Date.now();
    throw new Unreachable();
  }
  silentSince.value = null;
  if (answer.status === 401) loggedIn.value = false;
  else if (path.startsWith("/v1/")) loggedIn.value = true;
  if (!answer.ok) throw new Refused(answer.status, await problemOf(answer));
  return answer;
}

async function problemOf(answer: Response): Promise<Problem> {
  const nothing = { detail: null, instance: null, errors: null };
  const title = `The service answered ${answer.status}`;
  const unnamed: Problem = { type: "about:blank", title, status: answer.status, ...nothing };
  try {
    return { ...unnamed, ...((await answer.json()) as Partial<Problem>) };
  } catch {
    return unnamed;
  }
}

export async function get<P extends GetPath>(path: P, params: Params = {}, query?: QueryOf<P>): Promise<Got<P>> {
  const answer = await send(withQuery(fill(path, params), query ?? {}));
  return (await answer.json()) as Got<P>;
}

export async function getText(path: GetPath, params: Params, query: object): Promise<string> {
  return (await send(withQuery(fill(path, params), query))).text();
}

/** What is answered, or null where the run has recorded none: `not-recorded` is no error of a page. */
export async function getRecorded<P extends GetPath>(
  path: P,
  params: Params = {},
  query?: QueryOf<P>,
): Promise<Got<P> | null> {
  try {
    return await get(path, params, query);
  } catch (error) {
    if (error instanceof Refused && error.problem.type.endsWith(":not-recorded")) return null;
    throw error;
  }
}

export async function post<P extends PostPath>(path: P, params: Params = {}, body?: BodyOf<P>): Promise<Posted<P>> {
  const init: RequestInit = { method: "POST" };
  if (body !== undefined) {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(body);
  }
  const answer = await send(fill(path, params), init);
  return (await answer.json()) as Posted<P>;
}

export async function putTags(id: string, tags: string[]): Promise<void> {
  const path: PutPath = "/v1/runs/{run_id}/tags";
  await send(fill(path, { run_id: id }), {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ tags }),
  });
}

/** Begins a session; Refused where the token is nobody's. */
export async function logIn(token: string): Promise<void> {
  await send("/session", { method: "POST", body: new URLSearchParams({ token }) });
  loggedIn.value = true;
}

export async function logOut(): Promise<void> {
  await send("/session", { method: "DELETE" });
  loggedIn.value = false;
}
