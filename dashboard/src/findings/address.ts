// Where findings lead.
import { VERDICTS } from "../names";

/** Address of the runs whose verdict names it; null where no verdict does, as of what is mild. */
export function listOf(name: string): string | null {
  const verdict = VERDICTS.find((one) => one === name.split(":")[0]);
  return verdict === undefined || verdict === "healthy" ? null : `/?verdict=${encodeURIComponent(verdict)}`;
}
