// What people say of the verdict, and a form to say it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { get, post } from "../api/client";
import { useLive } from "../api/live";
import type { Diagnosis, Label, RunDetail } from "../api/types";
import { LABEL_FINDINGS } from "../names";
import { capital, moment } from "../words";

export function Dispute(props: {
  run: RunDetail;
  diagnosis: Diagnosis;
  labels: Label[];
  done: () => void;
}): JSX.Element {
  const { run, diagnosis, labels, done } = props;
  const problem = useSignal("");
  const said = useSignal("");
  const caller = useLive(
    "author",
    () => get("/v1/caller"),
    () => null,
  ).value.value;
  /** What was chosen stays chosen, whatever the run does meanwhile. */
  const chosen = useSignal<string | null>(null);
  const first = diagnosis.findings[0]?.name ?? "healthy";

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const given = new FormData(form);
    problem.value = "";
    try {
      await post(
        "/v1/runs/{run_id}/labels",
        { run_id: run.id },
        {
          finding: given.get("finding") as Label["finding"],
          holds: given.get("holds") === "yes",
          author: String(given.get("author")),
          note: String(given.get("note")),
          epoch: null,
        },
      );
      said.value = "Kept, beside the verdict of now.";
      form.reset();
      chosen.value = null;
      done();
    } catch (error) {
      problem.value = (error as Error).message;
    }
  }

  return (
    <section id="dispute" class="card" aria-labelledby="dispute-title">
      <h2 id="dispute-title">Is the verdict right?</h2>
      {labels.length > 0 && (
        <ul class="labels">
          {labels.map((label) => (
            <li key={label.id}>
              <strong>{label.author}</strong> says: {label.finding} {label.holds ? "is there" : "is not there"}
              {label.note && <> — “{label.note}”</>} <span class="muted">{moment(label.created_at)}</span>
            </li>
          ))}
        </ul>
      )}
      <details>
        <summary>Say what you see</summary>
        <form class="form-grid" onSubmit={(event) => void submit(event)}>
          <label>
            Finding
            <select
              name="finding"
              value={chosen.value ?? first}
              onChange={(event) => {
                chosen.value = event.currentTarget.value;
              }}
            >
              {LABEL_FINDINGS.map((name) => (
                <option key={name} value={name}>
                  {capital(name)}
                </option>
              ))}
            </select>
          </label>
          <fieldset>
            <legend>Is it there?</legend>
            <label>
              <input type="radio" name="holds" value="yes" required /> Yes
            </label>
            <label>
              <input type="radio" name="holds" value="no" /> No
            </label>
          </fieldset>
          <label>
            Your name
            <input name="author" required maxLength={100} defaultValue={caller?.user ?? ""} />
          </label>
          <label>
            Why
            <textarea name="note" rows={2} maxLength={2000} />
          </label>
          <button type="submit">Keep it</button>
          <p role="alert" class="problem">
            {problem.value}
          </p>
          <p role="status">{said.value}</p>
        </form>
      </details>
    </section>
  );
}
