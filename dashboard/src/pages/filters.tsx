import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { refine } from "../address";
import type { RunQuery } from "../api/types";
import { STATUSES, VERDICTS } from "../names";
import { capital } from "../words";

const SORTS = { newest: "Newest first", worst: "Worst first", oldest: "Oldest first" };
const FILTERS = ["status", "verdict", "user", "preset", "batch", "tag"] as const;

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
      <Typed name="user" title="Owner" value={query["user"] ?? ""} />
      <Typed name="tag" title="Tag" value={query["tag"] ?? ""} />
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

/** Asks once the word is whole; what is typed until then stays, whatever the list does meanwhile. */
function Typed({ name, title, value }: { name: string; title: string; value: string }): JSX.Element {
  const typed = useSignal<string | null>(null);
  return (
    <label>
      <span class="sr">{title}</span>
      <input
        class="short"
        placeholder={title}
        value={typed.value ?? value}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
        }}
        onChange={(event) => {
          typed.value = null;
          refine({ [name]: event.currentTarget.value.trim() });
        }}
      />
    </label>
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
