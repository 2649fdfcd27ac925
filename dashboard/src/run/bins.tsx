// The bins of NDB at the cursor's epoch: what each holds, and which the fakes fill too much or too little.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Bin, Evaluation, RunDetail } from "../api/types";
import { number, percent, plural } from "../words";
import { epoch } from "./cursor";
import { newest } from "./pictures";

type Kind = "missing" | "few" | "many" | "same";
const WORDS: Record<Kind, string> = { missing: "left out", few: "too few", many: "too many", same: "as the data" };
const SIGNS: Record<Kind, string> = { missing: "∅", few: "▼", many: "▲", same: "" };

/** A bar that is full stands for so many times the largest real share, or more. */
const WIDEST = 2;

export function Bins({ run, evaluations }: { run: RunDetail; evaluations: Evaluation[] }): JSX.Element | null {
  const withBins = evaluations.filter((one) => one.bins.length > 0);
  const shown = newest(withBins, epoch.value);
  const imageless = useSignal(false);
  if (shown === null) return null;
  const flagged = shown.bins.filter((bin) => bin.different).length;
  const left = shown.bins.filter((bin) => bin.missing).length;
  const most = WIDEST * Math.max(...shown.bins.map((bin) => bin.real), 1e-9);
  const null_ = shown.nulls["ndb_over_k"];
  const strip = `/v1/runs/${run.id}/ndb/bins.png?epoch=${shown.epoch}`;
  return (
    <section id="bins" class="bins card" aria-labelledby="bins-title">
      <h2 id="bins-title">
        Where the fakes lie: {flagged} of {shown.num_bins} bins differ
      </h2>
      <p class="hint">
        Epoch {shown.epoch}: NDB/K <strong>{number(shown.values["ndb_over_k"])}</strong>, real data{" "}
        {number(null_?.mean)}
        {left > 0 && (
          <>
            {" "}
            · <strong class="tone-severe">{plural(left, "bin")} left out</strong>, with{" "}
            {percent(shown.values["missing_mass"] ?? 0)} of the data
          </>
        )}
      </p>
      <img class="probe" src={strip} alt="" onError={() => (imageless.value = true)} />
      <ol class="bin-grid">
        {shown.bins.map((bin, index) => (
          <BinCell
            key={index}
            bin={bin}
            index={index}
            count={shown.num_bins}
            most={most}
            strip={imageless.value ? null : strip}
          />
        ))}
      </ol>
      <p class="hint legend">
        <span>
          <i class="swatch swatch-real" /> real share
        </span>
        <span>
          <i class="swatch swatch-fake" /> fake share
        </span>
        {(["many", "few", "missing"] as const).map((kind) => (
          <span key={kind} class={`bin-${kind}`}>
            <b>{SIGNS[kind]}</b> {WORDS[kind]}
          </span>
        ))}
      </p>
    </section>
  );
}

export function kindOf(bin: Pick<Bin, "different" | "missing" | "z">): Kind {
  if (bin.missing) return "missing";
  if (!bin.different) return "same";
  return bin.z > 0 ? "many" : "few";
}

function BinCell(props: { bin: Bin; index: number; count: number; most: number; strip: string | null }): JSX.Element {
  const { bin, index, count, most, strip } = props;
  const kind = kindOf(bin);
  const said = `Bin ${index + 1}: ${percent(bin.real)} of the real data, ${percent(bin.fake)} of the fakes, ${WORDS[kind]}`;
  const width = (share: number): number => Math.min(40, (40 * share) / most);
  return (
    <li class={`bin bin-${kind}`} title={said}>
      <span class="sr">{said}</span>
      {strip === null ? (
        <span class="bin-number" aria-hidden="true">
          {index + 1}
        </span>
      ) : (
        <span class="bin-image" aria-hidden="true">
          <img src={strip} alt="" style={{ width: `${100 * count}%`, left: `${-100 * index}%` }} />
        </span>
      )}
      <svg viewBox="0 0 40 12" preserveAspectRatio="none" aria-hidden="true">
        <rect class="real-bar" x="0" y="0" width={width(bin.real)} height="5" />
        <rect class="fake-bar" x="0" y="6" width={width(bin.fake)} height="6" />
      </svg>
      {kind !== "same" && (
        <span class="bin-sign" aria-hidden="true">
          {SIGNS[kind]}
        </span>
      )}
    </li>
  );
}
