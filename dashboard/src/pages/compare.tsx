// Runs side by side: what differs, how they went, and their samples under one cursor.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { address, refine, useTitle } from "../address";
import { get } from "../api/client";
import { ALL_EVENTS } from "../api/events";
import { useLive } from "../api/live";
import type { Compared } from "../api/types";
import { colorOf, dashOf } from "../compare/colors";
import { Gallery } from "../compare/gallery";
import { coursesOf, indicesOf } from "../compare/groups";
import { Scatter } from "../compare/scatter";
import { RunsBeside } from "../compare/table";
import { Empty, Failure, Loading } from "../parts/states";
import { Chart, hasNegative, type Line } from "../run/chart";
import { begin, epoch, lastEpoch } from "../run/cursor";
import { Cursor } from "../run/cursor_bar";
import { figureTitle } from "../run/evaluations";
import { zoom } from "../run/zoom";
import { isLive } from "../verdicts";
import { plural } from "../words";

const LIVE_MS = 4000;
const MOST = 100;

const LOSSES = [
  ["d_loss", "Discriminator's loss"],
  ["g_loss", "Generator's loss"],
] as const;

export function ComparePage(): JSX.Element {
  const ids = (address.value.query["runs"] ?? "").split(",").filter(Boolean).slice(0, MOST);
  const key = ids.join();
  useMemo(() => {
    begin();
    zoom.value = null;
  }, [key]);
  useTitle("Compare");
  return (
    <main id="main" class="run compare" tabIndex={-1}>
      {ids.length === 0 ? (
        <Empty alone title="Choose runs to compare">
          <p>
            Tick two or more of <a href="/">the runs</a>, then press “Compare”.
          </p>
        </Empty>
      ) : (
        <Compare key={key} ids={ids} />
      )}
    </main>
  );
}

function Compare({ ids }: { ids: string[] }): JSX.Element {
  const live = useLive(
    `compare ${ids.join()}`,
    () => get("/v1/compare", {}, { runs: ids }),
    ({ items }) => (items.some((row) => isLive(row.status)) ? LIVE_MS : null),
    ALL_EVENTS,
  );
  const compared = live.value.value;
  const { problem } = live;
  if (compared !== null) return <Beside compared={compared} />;
  if (problem.value === null) return <Loading what="the runs" />;
  return <Failure alone what="The comparison" problem={problem.value} again={() => void live.refresh()} />;
}

function Beside({ compared }: { compared: Compared }): JSX.Element {
  const { items, varied, series, evaluations } = compared;
  const picked = useSignal<string | null>(null);
  const asked = address.value.query["group"] ?? "";
  const group = varied.includes(asked) ? asked : "";
  const figures = Object.keys(evaluations.values);
  const wanted = address.value.query["figure"] ?? "";
  const figure = figures.includes(wanted)
    ? wanted
    : (figures.find((name) => name === "ndb_over_k") ?? figures[0] ?? "");
  const indices = useMemo(() => indicesOf(items, group), [items, group]);
  const pickedKey =
    picked.value === null || group === "" ? picked.value : keyOfGroup(compared, group, indices, picked.value);
  lastEpoch.value = Math.max(0, series.epochs.at(-1) ?? 0, ...items.map((row) => row.epochs_done));
  const middles = useMemo(() => series.epochs.map((one) => one - 0.5), [series]);
  const drop = (id: string): void =>
    refine({
      runs: items
        .map((row) => row.run_id)
        .filter((one) => one !== id)
        .join(),
    });
  return (
    <>
      <div class="headline">
        <h1>Compare {plural(items.length, "run")}</h1>
        <span class="spacer" />
        {varied.length > 0 && (
          <label>
            Curves of{" "}
            <select value={group} onChange={(event) => refine({ group: event.currentTarget.value })}>
              <option value="">each run</option>
              {varied.map((field) => (
                <option key={field} value={field}>
                  the mean by {field}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {lastEpoch.value > 0 && <CursorOfAll />}
      <RunsBeside compared={compared} indices={indices} picked={picked} drop={drop} />
      <Gallery compared={compared} indices={indices} picked={picked} />
      {lastEpoch.value > 0 && (
        <section id="curves" class="card" aria-labelledby="curves-title">
          <div class="section-head">
            <h2 id="curves-title">Curves</h2>
            <span class="hint">
              {group === ""
                ? "A line a run, the mean of each epoch. Press a run's line above to have it stand out."
                : `The mean of the runs with the same ${group}; shaded from the least to the greatest.`}
            </span>
            {zoom.value !== null && (
              <button type="button" class="link" onClick={() => (zoom.value = null)}>
                show all epochs
              </button>
            )}
          </div>
          <div class="charts">
            {LOSSES.map(([name, title]) => (
              <Overlaid
                key={name}
                compared={compared}
                group={group}
                title={title}
                x={middles}
                of={series.columns[name]}
                picked={pickedKey}
              />
            ))}
            {figure !== "" && (
              <div class="with-choice">
                <label class="over-chart">
                  <span class="sr">Figure</span>
                  <select value={figure} onChange={(event) => refine({ figure: event.currentTarget.value })}>
                    {figures.map((name) => (
                      <option key={name} value={name}>
                        {figureTitle(name)}
                      </option>
                    ))}
                  </select>
                </label>
                <Overlaid
                  compared={compared}
                  group={group}
                  title={figureTitle(figure)}
                  x={evaluations.epochs}
                  of={evaluations.values[figure]}
                  picked={pickedKey}
                />
              </div>
            )}
          </div>
          {group !== "" && <GroupKey compared={compared} group={group} />}
        </section>
      )}
      {items.length > 1 && <Scatter compared={compared} indices={indices} picked={picked} />}
    </>
  );
}

/** Apart, so that a step of the cursor draws the charts' frames anew and not all that is around them. */
function CursorOfAll(): JSX.Element {
  return <Cursor total={lastEpoch.value} said="" valueText={`Epoch ${epoch.value}`} tone="unknown" strip={null} />;
}

function keyOfGroup(compared: Compared, group: string, indices: Map<string, number>, id: string): string | null {
  const index = indices.get(id);
  return coursesOf(compared.items, group, undefined).find((course) => course.index === index)?.key ?? null;
}

function GroupKey({ compared, group }: { compared: Compared; group: string }): JSX.Element {
  return (
    <p class="hint legend">
      {coursesOf(compared.items, group, undefined).map((course) => (
        <span key={course.key}>
          <svg viewBox="0 0 22 6" width="22" height="6" aria-hidden="true">
            <path
              d="M0 3h22"
              style={{
                stroke: `var(${colorOf(course.index)})`,
                strokeWidth: 3,
                strokeDasharray: dashOf(course.index).join(" "),
              }}
            />
          </svg>{" "}
          {course.label}
        </span>
      ))}
    </p>
  );
}

function Overlaid(props: {
  compared: Compared;
  group: string;
  title: string;
  x: readonly number[];
  of: Record<string, readonly (number | null)[]> | undefined;
  picked: string | null;
}): JSX.Element {
  const { compared, group, title, x, of, picked } = props;
  const lines = useMemo(
    () =>
      coursesOf(compared.items, group, of).map(
        (course): Line => ({
          label: course.label,
          color: colorOf(course.index),
          dash: dashOf(course.index),
          values: course.values,
          low: course.low,
          high: course.high,
          stress: picked === null ? "usual" : course.key === picked ? "strong" : "faint",
        }),
      ),
    [compared, group, of, picked],
  );
  const isLoss = title.endsWith("loss");
  const log = isLoss && !hasNegative(lines);
  return (
    <Chart
      x={x}
      lines={lines}
      log={log}
      bands={[]}
      marks={[]}
      epochs={lastEpoch.value}
      title={title}
      unit={isLoss ? (log ? "log axis" : "linear axis, as some are below 0") : ""}
      legend="strong"
    />
  );
}
