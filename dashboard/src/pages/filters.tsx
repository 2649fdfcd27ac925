import type { JSX } from "preact";
import { refine } from "../address";
import type { RunQuery, Status, Verdict } from "../api/types";
import { capital } from "../words";

const STATUSES: readonly Status[] = ["queued", "running", "paused", "succeeded", "failed", "cancelled", "halted"];
const VERDICTS: readonly Verdict[] = [
  "healthy",
  "divergence",
  "convergence failure",
  "exploding gradients",
  "vanishing gradients",
  "mode collapse",
  "memorisation",
  "oscillation",
  "deceptive loss",
  "stalled",
  "undetermined",
];
const SORTS = { newest: "Newest first", worst: "Worst first", oldest: "Oldest first" };
const FILTERS = ["status", "verdict", "user", "preset", "batch"] as const;

type Query = Record<string, string>;

/** The filters that the API knows, of those in the address. */
export function filtersOf(query: Query): RunQuery {
  const given: Query = {};
  for (const name of FILTERS) {
    const value = query[name];
    if (value !== undefined) given[name] = value;
  }
  return given as RunQuery;
}

export function isFiltered(query: Query): boolean {
  return FILTERS.some((name) => query[name]) || Boolean(query["search"]);
}

export function Filters({ query }: { query: Query }): JSX.Element {
  return (
    <search class="filters">
      <label>
        <span class="sr">Search in names, presets and ids</span>
        <input
          type="search"
          placeholder="Search names, presets, ids"
          value={query["search"] ?? ""}
          onInput={(event) => refine({ search: event.currentTarget.value })}
        />
      </label>
      <Choice name="verdict" title="Verdict" options={VERDICTS} value={query["verdict"]} />
      <Choice name="status" title="Status" options={STATUSES} value={query["status"]} />
      <label>
        <span class="sr">Owner</span>
        <input
          class="short"
          placeholder="Owner"
          value={query["user"] ?? ""}
          onChange={(event) => refine({ user: event.currentTarget.value.trim() })}
        />
      </label>
      <label>
        <span class="sr">Order</span>
        <select
          value={query["sort"] ?? "newest"}
          onChange={(event) =>
            refine({ sort: event.currentTarget.value === "newest" ? null : event.currentTarget.value })
          }
        >
          {Object.entries(SORTS).map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </label>
      {isFiltered(query) && (
        <button
          type="button"
          class="quiet"
          onClick={() => refine(Object.fromEntries([...FILTERS, "search"].map((name) => [name, null])))}
        >
          Clear
        </button>
      )}
    </search>
  );
}

function Choice(props: {
  name: string;
  title: string;
  options: readonly string[];
  value: string | undefined;
}): JSX.Element {
  return (
    <label>
      <span class="sr">{props.title}</span>
      <select value={props.value ?? ""} onChange={(event) => refine({ [props.name]: event.currentTarget.value })}>
        <option value="">Any {props.title.toLowerCase()}</option>
        {props.options.map((option) => (
          <option key={option} value={option}>
            {capital(option)}
          </option>
        ))}
      </select>
    </label>
  );
}
