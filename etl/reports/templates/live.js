// Only where the page is served: what is under way, and a fresh page when a run has ended.
let shown;
async function look() {
  const place = document.getElementById("live");
  try {
    const { version, words } = await (await fetch("/live")).json();
    if (shown !== undefined && version !== shown) location.reload();
    shown = version;
    if (place.textContent !== words) place.textContent = words;
  } catch {
    place.textContent = "The page is no longer served.";
  }
  setTimeout(look, 2000);
}
look();
