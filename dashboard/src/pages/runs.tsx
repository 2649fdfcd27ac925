// The list of runs: what each is, how it does, and which are sick.
import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { address, refine } from "../address";
import type { Glance, Run } from "../api/types";
import { askedFor, StatusBadge, VerdictBadge } from "../parts/badges";
import { NdbMeter, ProgressMeter } from "../parts/meters";
import { Sparkline } from "../parts/sparkline";
import { Empty, Failure, Loading } from "../parts/states";
import { label, tone } from "../verdicts";
import { ago, plural } from "../words";
import { Choose, ChosenBar } from "./chosen";
import { Filters, filtersOf, isFiltered } from "./filters";
import { useGlances } from "./glances";
import { Queue } from "./queue";
import { arrange, needsAll, useRuns } from "./run_list";

export const ROW_PX = 76;
const BESIDE = 6; // rows drawn above and below what is seen

export function RunsPage(): JSX.Element {
  const { query } = address.value;
  const filters = filtersOf(query);
  const sort = query["sort"] ?? "newest";
  const search = query["search"] ?? "";
  const all = needsAll(sort, search);
  const list = useRuns(filters, all);
  const read = list.runs.value;
  const partial = all && read !== null && !list.complete.value;
  const runs = arrange(read, sort, search);
  const { problem } = list;
  return (
    <main id="main" class="runs" tabIndex={-1}>
      <div class="headline">
        <h1>Runs</h1>
        <Queue />
      </div>
      <Filters query={query} />
      {read === null && problem.value === null && <Loading what="the runs" />}
      {read === null && problem.value !== null && (
        <Failure what="The runs" problem={problem.value} again={() => void list.refresh()} />
      )}
      {partial && <Loading what={`every run, ${read.length.toLocaleString("en")} so far`} />}
      {read !== null && !partial && runs.length === 0 && <NoRuns filtered={isFiltered(query)} />}
      {!partial && runs.length > 0 && (
        <>
          <Summary runs={runs} complete={list.complete.value} />
          <Table runs={runs} complete={list.complete.value} more={() => void list.more()} />
          <ChosenBar />
        </>
      )}
    </main>
  );
}

function NoRuns({ filtered }: { filtered: boolean }): JSX.Element {
  if (filtered) {
    return (
      <Empty title="No run is like that">
        <p>
          <button
            type="button"
            onClick={() => history.replaceState(null, "", "/") ?? dispatchEvent(new PopStateEvent("popstate"))}
          >
            Show all runs
          </button>
        </p>
      </Empty>
    );
  }
  return (
    <Empty title="No runs yet">
      <p>
        <a href="/new">Choose a published experiment</a>, or queue one from a shell; it appears here at once:
      </p>
      <pre>ganclinic run digit8-stable</pre>
      <p>
        Or see three at once, of which two are sick: <code>ganclinic demo</code>
      </p>
    </Empty>
  );
}

/** How many are sick, in one line. */
function Summary({ runs, complete }: { runs: Run[]; complete: boolean }): JSX.Element {
  const tones = runs.map((run) => tone(run.verdict, run.severity));
  const count = (wanted: string) => tones.filter((one) => one === wanted).length;
  const severe = count("severe");
  const moderate = count("moderate");
  const well = count("healthy") + count("mild");
  return (
    <p class="summary" role="status">
      <span>{complete ? plural(runs.length, "run") : `The newest ${runs.length.toLocaleString("en")} runs`}</span>
      {severe > 0 && <span class="tone-severe">{severe} severely sick</span>}
      {moderate > 0 && <span class="tone-moderate">{moderate} moderately sick</span>}
      {well > 0 && <span class="tone-healthy">{well} healthy</span>}
      {severe + moderate > 0 && address.value.query["sort"] !== "worst" && (
        <button type="button" class="link" onClick={() => refine({ sort: "worst" })}>
          Worst first
        </button>
      )}
    </p>
  );
}

interface Window {
  first: number;
  last: number;
}

function Table({ runs, complete, more }: { runs: Run[]; complete: boolean; more: () => void }): JSX.Element {
  const body = useRef<HTMLTableSectionElement>(null);
  const seen = useSignal<Window>({ first: 0, last: 20 });
  useEffect(() => {
    const look = (): void => {
      if (body.current === null) return;
      const top = -body.current.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(top / ROW_PX) - BESIDE);
      const last = Math.ceil((top + innerHeight) / ROW_PX) + BESIDE;
      if (first !== seen.value.first || last !== seen.value.last) seen.value = { first, last };
    };
    look();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  }, []);
  useSignalEffect(() => {
    if (seen.value.last >= runs.length && !complete) more();
  });
  const { first, last } = seen.value;
  const shown = runs.slice(first, last);
  const glances = useGlances(shown);
  const below = Math.max(0, runs.length - last);
  return (
    <table class="run-table" aria-rowcount={complete ? runs.length + 1 : -1}>
      <thead>
        <tr>
          <th class="col-choose" scope="col">
            <span class="sr">Choose</span>
          </th>
          <th class="col-samples" scope="col">
            <span class="sr">Newest samples</span>
          </th>
          <th scope="col">Run</th>
          <th class="col-verdict" scope="col">
            Verdict
          </th>
          <th class="col-losses" scope="col">
            Losses <Key />
          </th>
          <th class="col-ndb" scope="col">
            <abbr title="Share of bins of the real data that the fakes fill too much or too little; hatched: where real data lie">
              NDB/K
            </abbr>
          </th>
          <th scope="col">Progress</th>
          <th class="col-owner" scope="col">
            Owner
          </th>
        </tr>
      </thead>
      <tbody ref={body}>
        <Space rows={first} />
        {shown.map((run, index) => (
          <Row key={run.id} run={run} glance={glances.get(run.id) ?? null} index={first + index} />
        ))}
        <Space rows={below} />
      </tbody>
    </table>
  );
}

function Space({ rows }: { rows: number }): JSX.Element | null {
  if (rows === 0) return null;
  return (
    <tr class="space">
      <td colSpan={8} style={{ height: `${rows * ROW_PX}px` }} />
    </tr>
  );
}

function Key(): JSX.Element {
  return (
    <span class="key">
      <svg viewBox="0 0 14 6" width="14" height="6" aria-hidden="true">
        <path class="line-d" d="M0 3h14" />
      </svg>{" "}
      D{" "}
      <svg viewBox="0 0 14 6" width="14" height="6" aria-hidden="true">
        <path class="line-g" d="M0 3h14" />
      </svg>{" "}
      G
    </span>
  );
}

function Row({ run, glance, index }: { run: Run; glance: Glance | null; index: number }): JSX.Element {
  const shown = tone(run.verdict, run.severity);
  const samples = glance?.samples ?? null;
  return (
    <tr class={`run-row row-${shown}`} aria-rowindex={index + 2}>
      <td class="col-choose">
        <Choose id={run.id} label={label(run)} />
      </td>
      <td class="col-samples">
        {samples === null ? (
          <span class="thumbnail" />
        ) : (
          <Thumbnail src={`${samples.href}?${samples.sha256.slice(0, 12)}`} />
        )}
      </td>
      <td class="col-run">
        <a class="run-name" href={`/runs/${run.id}`}>
          {label(run)}
        </a>
        <span class="narrow-only">
          <VerdictBadge verdict={run.verdict} severity={run.severity} />
        </span>
        <span class="muted sub">
          {[
            run.name === null ? null : run.preset,
            run.remedy === null ? null : `try: ${run.remedy}`,
            `seed ${run.seed}`,
            ...(run.tags ?? []).map((tag) => `#${tag}`),
          ]
            .filter(Boolean)
            .join(" · ")}
        </span>
      </td>
      <td class="col-verdict">
        <VerdictBadge verdict={run.verdict} severity={run.severity} />
        <span class="muted sub">{severityWords(run)}</span>
      </td>
      <td class="col-losses">
        {glance !== null && <Sparkline epochs={glance.epochs} d={glance.d_loss} g={glance.g_loss} />}
      </td>
      <td class="col-ndb">
        {glance !== null && <NdbMeter value={glance.ndb?.ndb_over_k ?? null} of={glance.ndb?.null ?? null} />}
      </td>
      <td class="col-progress">
        <StatusBadge status={run.status} asked={askedFor(run)} />
        <ProgressMeter run={run} secondsLeft={glance?.seconds_left ?? null} />
      </td>
      <td class="col-owner">
        <span>{run.user}</span>
        <span class="muted sub">
          <time dateTime={run.created_at}>{ago(run.created_at, Date.now())}</time>
        </span>
      </td>
    </tr>
  );
}

const POINTS_PX = 448; // of a scatter, which is shown whole; of a grid of images the first few

function Thumbnail({ src }: { src: string }): JSX.Element {
  const whole = useSignal(false);
  return (
    <span class={whole.value ? "thumbnail whole" : "thumbnail"}>
      <img
        src={src}
        alt=""
        decoding="async"
        onLoad={({ currentTarget: image }) => {
          whole.value = image.naturalWidth === POINTS_PX && image.naturalHeight === POINTS_PX;
        }}
      />
    </span>
  );
}

function severityWords(run: Run): string {
  if (run.error !== null) return run.error;
  if (run.severity === null || run.severity === "none") return "";
  return run.first_epoch_seen === null ? run.severity : `${run.severity}, since epoch ${run.first_epoch_seen}`;
}
