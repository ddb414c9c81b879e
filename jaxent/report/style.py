"""The page's style sheet and its one script, which sorts a table by the column whose heading is pressed."""

CSS = """
:root { --text: #1b1f24; --soft: #57606a; --line: #d5dae0; --back: #ffffff; --band: #f5f7f9; --link: #0b5c78; --ours: #0b5c78;
        --good: #1a6b34; --bad: #a3261d; --open: #6a5a00; --absent: #7a828b; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7ea; --soft: #a3abb4; --line: #3a424b; --back: #14181c; --band: #1d2329;
        --link: #7cc7e0; --ours: #7cc7e0; --good: #7fd096; --bad: #ff9a90; --open: #e0c862; --absent: #8b949e; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1.25rem 4rem; color: var(--text); background: var(--back);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; } h2 { font-size: 1.35rem; margin: 3rem 0 .75rem; padding-top: .5rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 2rem 0 .25rem; } a { color: var(--link); } p { max-width: 46rem; } code { font-size: .875em; overflow-wrap: anywhere; }
.lead { font-size: 1.05rem; } .soft, .caption, figcaption { color: var(--soft); } .caption { margin: 0 0 .5rem; font-size: .925rem; }
nav { background: var(--band); padding: .75rem 1.25rem; border-radius: 6px; margin: 1.5rem 0; } nav ol { margin: .25rem 0; padding-left: 1.25rem; columns: 18rem 2; column-gap: 2.5rem; } nav li { margin-left: .5rem; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; } .scroll:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-size: .875rem; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { background: var(--band); vertical-align: bottom; font-weight: 600; } thead tr + tr th { font-weight: 400; color: var(--soft); }
tbody tr:last-child > * { border-bottom: 0; } tbody th { font-weight: 500; white-space: nowrap; }
th[aria-sort] { cursor: pointer; } th[aria-sort=ascending]::after { content: " \\25b2"; } th[aria-sort=descending]::after { content: " \\25bc"; }
td.number, th.number { text-align: right; white-space: nowrap; } thead th.number { text-align: right; white-space: normal; } thead th[colspan] { text-align: center; } 
td.published { color: var(--soft); white-space: nowrap; } td.measured { color: var(--ours); font-weight: 600; } td.measured { white-space: nowrap; } td.text { white-space: pre-line; }
td.missing, td.nothing, td.undefined { color: var(--absent); text-align: right; white-space: nowrap; } td.missing { font-style: italic; }
.interval { font-weight: 400; color: var(--soft); font-size: .9em; } sup { font-size: .72em; line-height: 0; margin-left: .1em; } sup + sup::before { content: " "; }
.notes { font-size: .85rem; color: var(--soft); padding-left: 1.5rem; margin: .5rem 0 0; max-width: 60rem; } .notes li:target { background: var(--band); color: var(--text); }
td.supported, td.contradicted, td.undecided { font-weight: 700; white-space: nowrap; } td.supported, .supported { color: var(--good); } td.contradicted, .contradicted { color: var(--bad); }
td.undecided, .undecided { color: var(--open); } #quoted tbody th { white-space: normal; }
#provenance-table td { white-space: nowrap; } #verdicts table { min-width: 60rem; table-layout: fixed; } #verdicts th:nth-child(1) { width: 21%; } #verdicts th:nth-child(2) { width: 11%; }
#verdicts th:nth-child(3) { width: 24%; } #verdicts th:nth-child(4) { width: 34%; } #verdicts tbody th { white-space: normal; width: 21%; }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .5rem; display: block; }
figcaption { font-size: .875rem; margin-top: .35rem; max-width: 46rem; } details { margin: .75rem 0; } summary { cursor: pointer; }
@media (max-width: 40rem) { figure.wide { overflow-x: auto; } figure.wide img { max-width: none; width: 44rem; } }
.counts { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; padding: 0; list-style: none; font-size: 1.05rem; } .counts b { font-size: 1.35rem; }
.list li { margin: .25rem 0; }
@media print { :root { --text: #000; --soft: #333; --line: #999; --back: #fff; --band: #f2f2f2; --link: #000; --ours: #00364a; --good: #1a6b34; --bad: #a3261d; --open: #5a4c00; --absent: #666; }
  body { max-width: none; font-size: 10pt; padding: 0; } nav { display: none; } .scroll { overflow: visible; border: 0; } table { font-size: 7.5pt; } td, th { padding: 1pt 3pt; }
  #provenance-table td { white-space: nowrap; } #verdicts table { min-width: 0; } tr, figure { break-inside: avoid; } h2, h3, .caption { break-after: avoid; } thead { display: table-header-group; } details > * { display: block; } }
"""

SCRIPT = """
for (const table of document.querySelectorAll(".table table")) {
  const body = table.tBodies[0], heads = [], taken = [];
  [...table.tHead.rows].forEach((row, r) => { let at = 0; for (const head of row.cells) {
    while (taken[r] && taken[r][at]) at++;
    for (let i = 0; i < head.rowSpan; i++) for (let j = 0; j < head.colSpan; j++) (taken[r + i] ||= [])[at + j] = true;
    if (head.colSpan === 1) heads.push([head, at]);
    at += head.colSpan; } });
  const words = cell => { const bare = cell.cloneNode(true);
    for (const note of bare.querySelectorAll("sup")) note.remove();
    return bare.textContent.trim(); };
  const number = text => { const found = text.match(/^[-+]?[0-9.]+(e[-+]?[0-9]+)?/); return found ? parseFloat(found[0]) : null; };
  for (const [head, at] of heads) {
    head.setAttribute("aria-sort", "none"); head.tabIndex = 0;
    const sort = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const [other] of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map(row => { const text = words(row.cells[at]); return { row, text, value: number(text) }; });
      rows.sort((a, b) => { if (a.value === null !== (b.value === null)) return a.value === null ? 1 : -1;
        return (up ? 1 : -1) * (a.value === null ? a.text.localeCompare(b.text) : a.value - b.value); });
      body.append(...rows.map(found => found.row));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
  }
}
"""
