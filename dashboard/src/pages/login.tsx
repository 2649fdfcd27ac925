import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { logIn, Refused } from "../api/client";
import { Mark } from "../parts/icons";

export function LogIn(): JSX.Element {
  const problem = useSignal("");
  const busy = useSignal(false);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const token = new FormData(event.currentTarget as HTMLFormElement).get("token");
    busy.value = true;
    problem.value = "";
    try {
      await logIn(String(token));
    } catch (error) {
      const wrong = error instanceof Refused && error.status === 401;
      problem.value = wrong ? "No user of this service has that token." : (error as Error).message;
    }
    busy.value = false;
  }

  return (
    <main id="main" class="login">
      <h1>
        <Mark /> GAN Clinic
      </h1>
      <form class="card" onSubmit={(event) => void submit(event)}>
        <label for="token">Your token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          required
          aria-describedby="where problem"
          aria-invalid={problem.value !== ""}
        />
        <p id="problem" role="alert" class="problem">
          {problem.value}
        </p>
        <button type="submit" class="primary" disabled={busy.value}>
          Log in
        </button>
        <p id="where" class="hint">
          Without users of its own, the service keeps its one token in the file <code>token</code> of its state
          directory.
        </p>
        <p class="hint">
          On the machine itself no token is needed: <code>ganclinic open</code>
        </p>
      </form>
    </main>
  );
}
