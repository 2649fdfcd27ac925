// A new run, or a sweep: from a published experiment or a run's own spec, with what is changed in it.
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { address, go, useTitle } from "../address";
import { get, post, Refused } from "../api/client";
import { useLive } from "../api/live";
import { Failure, Loading } from "../parts/states";
import { countOf, fieldOf, fieldsOf, type Given, meant, several } from "../submit/fields";
import { label } from "../verdicts";
import { plural } from "../words";

export function NewRunPage(): JSX.Element {
  useTitle("New run");
  const { preset, run } = address.value.query;
  return (
    <main id="main" class="new-run" tabIndex={-1}>
      <h1>New run</h1>
      {preset === undefined && run === undefined ? (
        <Gallery />
      ) : (
        <Begin key={`${preset} ${run}`} {...{ preset, run }} />
      )}
    </main>
  );
}

/** The published experiments, to begin from. */
function Gallery(): JSX.Element {
  const live = useLive(
    "presets",
    () => get("/v1/presets"),
    () => null,
  );
  const { problem } = live;
  const presets = live.value.value?.items;
  if (presets === undefined) {
    if (problem.value === null) return <Loading what="the published experiments" />;
    return <Failure what="The experiments" problem={problem.value} again={() => void live.refresh()} />;
  }
  return (
    <>
      <p class="lead-in muted">Begin from a published experiment; the next page has each of its fields.</p>
      <ul class="presets">
        {presets.map((preset) => (
          <li key={preset.name} class="card">
            <h2>
              <a href={`/new?preset=${preset.name}`}>{preset.title}</a>
            </h2>
            <p class="muted">
              <code>{preset.name}</code>
            </p>
            <p class="clamped">{preset.reports}</p>
          </li>
        ))}
      </ul>
    </>
  );
}

interface Base {
  title: string;
  spec: Record<string, unknown>;
  request: { preset: string } | { spec: Record<string, unknown> };
}

async function baseOf(preset: string | undefined, run: string | undefined): Promise<Base> {
  if (run !== undefined) {
    const found = await get("/v1/runs/{run_id}", { run_id: run });
    const spec = found.spec as unknown as Record<string, unknown>;
    return { title: `the spec of ${label(found)}`, spec, request: { spec } };
  }
  const name = preset ?? "";
  const found = await get("/v1/presets/{name}", { name });
  return { title: found.title, spec: found.spec as unknown as Record<string, unknown>, request: { preset: name } };
}

function Begin({ preset, run }: { preset: string | undefined; run: string | undefined }): JSX.Element {
  const live = useLive(
    "base",
    () => baseOf(preset, run),
    () => null,
  );
  const { problem } = live;
  if (live.value.value !== null) return <SpecForm base={live.value.value} />;
  if (problem.value === null) return <Loading what="the spec" />;
  return <Failure what="The spec" problem={problem.value} again={() => void live.refresh()} />;
}

type Texts = Readonly<Record<string, string>>;

function SpecForm({ base }: { base: Base }): JSX.Element {
  const fields = useMemo(() => fieldsOf(base.spec), [base]);
  const names = useMemo(() => fields.map(({ field }) => field), [fields]);
  const changed = useSignal<Texts>({});
  const sweep = useSignal(false);
  const seeds = useSignal(1);
  const faults = useSignal<Readonly<Record<string, string>>>({});
  const problem = useSignal("");
  const busy = useSignal(false);
  const search = useSignal("");

  const given = Object.entries(changed.value);
  const vary = sweep.value
    ? Object.fromEntries(
        given.map(([field, text]) => [field, several(text)] as const).filter(([, values]) => values.length > 1),
      )
    : {};
  const set = Object.fromEntries(
    given.filter(([field]) => !(field in vary)).map(([field, text]) => [field, valueOfField(fields, field, text)]),
  );
  const count = sweep.value ? countOf(vary, seeds.value) : 1;

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const name = String(form.get("name")).trim() || null;
    busy.value = true;
    problem.value = "";
    faults.value = {};
    try {
      if (count > 1) {
        const varied = seeds.value > 1 ? { vary, seeds: seeds.value } : { vary };
        const made = await post("/v1/batches", {}, {
          name,
          sweep: { base: { ...base.request, set }, ...varied },
        } as never);
        go(`/batches/${made.id}`);
      } else {
        const priority = Number(form.get("priority") ?? 0);
        const made = await post("/v1/runs", {}, { ...base.request, set, name, priority } as never);
        go(`/runs/${made.id}`);
      }
    } catch (error) {
      tell(error as Error);
    }
    busy.value = false;
  }

  function tell(error: Error): void {
    const found = error instanceof Refused ? (error.problem.errors ?? []) : [];
    const at: Record<string, string> = {};
    const elsewhere: string[] = [];
    for (const fault of found) {
      const field = fieldOf(fault.field, names);
      if (field === null) elsewhere.push(`${fault.field}: ${fault.message}`);
      else at[field] = fault.message;
    }
    faults.value = at;
    const first = Object.keys(at)[0];
    const many = Object.keys(at).length;
    problem.value =
      [...(many > 0 ? [`${plural(many, "field")} cannot be so.`] : []), ...elsewhere].join(" ") || error.message;
    search.value = "";
    if (first !== undefined)
      requestAnimationFrame(() => {
        const field = document.getElementById(idOf(first));
        field?.closest("details")?.setAttribute("open", "");
        field?.focus();
      });
  }

  return (
    <form class="spec-form" onSubmit={(event) => void submit(event)}>
      <p class="muted">
        From {base.title} · <a href="/new">another</a>
      </p>
      <div class="card spec-top">
        <label>
          Name of the run <input name="name" maxLength={100} placeholder="for people" />
        </label>
        {!sweep.value && (
          <label>
            Priority <input class="short" name="priority" type="number" min="-100" max="100" defaultValue="0" />
          </label>
        )}
        <label class="inline">
          <input type="checkbox" checked={sweep.value} onChange={(e) => (sweep.value = e.currentTarget.checked)} />
          Sweep: several values in a field, with commas between
        </label>
        {sweep.value && (
          <label>
            Seeds each{" "}
            <input
              class="short"
              type="number"
              min="1"
              max="1000"
              value={seeds.value}
              onInput={(e) => (seeds.value = Math.max(1, e.currentTarget.valueAsNumber || 1))}
            />
          </label>
        )}
        <label>
          <span class="sr">Find a field</span>
          <input
            type="search"
            placeholder="Find a field"
            value={search.value}
            onInput={(e) => (search.value = e.currentTarget.value)}
          />
        </label>
      </div>
      <Parts fields={fields} changed={changed} faults={faults.value} search={search.value} sweep={sweep.value} />
      <div class="spec-send card">
        <p role="alert" class="problem">
          {problem.value}
        </p>
        <span class="muted">
          {given.length === 0 ? "Nothing is changed" : `${plural(given.length, "field")} changed`}
          {count > 1 && ` · ${plural(count, "run")}`}
        </span>
        <button type="submit" class="primary" disabled={busy.value}>
          {count > 1 ? `Queue ${plural(count, "run")}` : "Queue the run"}
        </button>
      </div>
    </form>
  );
}

/** A word stays a word where the field holds one: a name `1` is no number. */
function valueOfField(fields: readonly Given[], field: string, text: string): unknown {
  return fields.find((one) => one.field === field)?.kind === "text" ? text.trim() : meant(text);
}

function idOf(field: string): string {
  return `field-${field}`;
}

interface PartsProps {
  fields: Given[];
  changed: Signal<Texts>;
  faults: Readonly<Record<string, string>>;
  search: string;
  sweep: boolean;
}

const OPEN = ["seed", "dataset", "generator", "optimizer", "training"];

function Parts({ fields, changed, faults, search, sweep }: PartsProps): JSX.Element {
  const parts = new Map<string, Given[]>();
  for (const one of fields) {
    if (one.field === "spec_version" || !one.field.includes(search.trim().toLowerCase())) continue;
    const part = one.field.split(".")[0] ?? "";
    const key = one.field.includes(".") ? part : "run";
    parts.set(key, [...(parts.get(key) ?? []), one]);
  }
  return (
    <div class="spec-parts">
      {[...parts].map(([part, of]) => (
        <details key={part} class="card" open={search !== "" || part === "run" || OPEN.includes(part)}>
          <summary>
            <h2>{part.replaceAll("_", " ")}</h2>
            {of.some(({ field }) => field in changed.value) && <span class="muted"> changed</span>}
          </summary>
          <div class="spec-fields">
            {of.map((one) => (
              <Field key={one.field} given={one} changed={changed} fault={faults[one.field] ?? ""} sweep={sweep} />
            ))}
          </div>
        </details>
      ))}
      {parts.size === 0 && <p class="hint">No field is named so.</p>}
    </div>
  );
}

function Field(props: { given: Given; changed: Signal<Texts>; fault: string; sweep: boolean }): JSX.Element {
  const { given, changed, fault, sweep } = props;
  const { field, text } = given;
  const typed = changed.value[field];
  const id = idOf(field);
  const change = (to: string): void => {
    const { [field]: _, ...others } = changed.value;
    changed.value = to === text ? others : { ...others, [field]: to };
  };
  const common = {
    id,
    value: typed ?? text,
    "aria-invalid": fault !== "",
    "aria-describedby": fault === "" ? undefined : `${id}-fault`,
  } as const;
  return (
    <div class={typed === undefined ? "spec-field" : "spec-field changed"}>
      <label for={id}>
        <code>{field.includes(".") ? field.slice(field.indexOf(".") + 1) : field}</code>
      </label>
      {given.kind === "choice" && !sweep ? (
        <select {...common} onChange={(event) => change(event.currentTarget.value)}>
          <option value="true">true</option>
          <option value="false">false</option>
        </select>
      ) : (
        <input
          {...common}
          placeholder="none"
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => change(event.currentTarget.value)}
        />
      )}
      {fault !== "" && (
        <p id={`${id}-fault`} class="problem">
          {fault}
        </p>
      )}
    </div>
  );
}
