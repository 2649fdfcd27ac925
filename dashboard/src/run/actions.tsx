// What can be done with a run; each button says what it does, and a refusal says why.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { post } from "../api/client";
import type { RunDetail } from "../api/types";
import { isLive } from "../verdicts";

export function Actions({ run, done }: { run: RunDetail; done: () => void }): JSX.Element {
  const problem = useSignal("");
  const busy = useSignal(false);
  const extend = useRef<HTMLDialogElement>(null);
  const cancel = useRef<HTMLDialogElement>(null);
  const here = { run_id: run.id };

  async function act(ask: () => Promise<unknown>): Promise<void> {
    busy.value = true;
    problem.value = "";
    try {
      await ask();
      done();
    } catch (error) {
      problem.value = (error as Error).message;
    }
    busy.value = false;
  }

  const resumable = run.status === "paused" || run.pause_requested;
  // a watched run is trained elsewhere: it can be cancelled, and no more
  const extendable = !run.watched && ["succeeded", "halted"].includes(run.status);
  return (
    <div class="actions">
      {isLive(run.status) && !run.watched && (
        <button
          type="button"
          disabled={busy.value}
          onClick={() => void act(() => post(resumable ? "/v1/runs/{run_id}/resume" : "/v1/runs/{run_id}/pause", here))}
        >
          {resumable ? "Resume" : "Pause"}
        </button>
      )}
      {isLive(run.status) && (
        <button
          type="button"
          class="danger"
          disabled={busy.value || run.cancel_requested}
          onClick={() => cancel.current?.showModal()}
        >
          {run.cancel_requested ? "Cancelling …" : "Cancel"}
        </button>
      )}
      {extendable && (
        <button type="button" disabled={busy.value} onClick={() => extend.current?.showModal()}>
          Extend
        </button>
      )}
      <p role="alert" class="problem">
        {problem.value}
      </p>
      <dialog ref={cancel} aria-labelledby="cancel-title">
        <form method="dialog" onSubmit={() => void act(() => post("/v1/runs/{run_id}/cancel", here))}>
          <h2 id="cancel-title">Cancel this run?</h2>
          <p>What it has recorded stays. A cancelled run cannot go on; one that is paused can.</p>
          <div class="choices">
            <button type="button" onClick={() => cancel.current?.close()}>
              Keep it
            </button>
            <button type="submit" class="danger">
              Cancel the run
            </button>
          </div>
        </form>
      </dialog>
      <dialog ref={extend} aria-labelledby="extend-title">
        <form
          method="dialog"
          onSubmit={(event) => {
            const epochs = Number(new FormData(event.currentTarget).get("epochs"));
            void act(() => post("/v1/runs/{run_id}/extend", here, { epochs }));
          }}
        >
          <h2 id="extend-title">Extend this run</h2>
          <label>
            Further epochs, from its last checkpoint
            <input name="epochs" type="number" min="1" max="100000" defaultValue={run.epochs_total} required />
          </label>
          <div class="choices">
            <button type="button" onClick={() => extend.current?.close()}>
              Leave it
            </button>
            <button type="submit" class="primary">
              Extend
            </button>
          </div>
        </form>
      </dialog>
    </div>
  );
}
