import { render } from "preact";
import { address, follow } from "./address";
import { App } from "./app";

follow();
address.subscribe(() => {
  document.title = "GAN Clinic";
});
const root = document.getElementById("app");
if (root !== null) {
  root.replaceChildren();
  render(<App />, root);
}
