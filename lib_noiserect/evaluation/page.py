"""The HTML frame of a report. Braces are doubled for `str.format`."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{
  color-scheme: light dark; --better: #17703f; --worse: #ab3322;
  --page: #fbfbf9; --card: #ffffff; --text: #1d2126; --soft: #5d6671; --line: #dfe2e6; --accent: #1f75b5;
}}
@media (prefers-color-scheme: dark) {{ :root {{
  --page: #14171b; --card: #1c2026; --text: #e6e8eb; --soft: #9aa4b0; --line: #343a43; --accent: #6db6ea;
  --better: #6fce98; --worse: #f0907f;
}} }}
* {{ box-sizing: border-box; }}
body {{
  margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 84rem; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}}
h1 {{ margin: 0 0 1rem; font-size: clamp(1.6rem, 4vw, 2.3rem); line-height: 1.15; letter-spacing: -.015em; }}
h2 {{ margin: 3.25rem 0 .35rem; font-size: 1.4rem; letter-spacing: -.01em; }}
p {{ max-width: 48rem; margin: .4rem 0; }}
.key, footer, dt, summary, .set p, thead th {{ color: var(--soft); }}
a {{ color: var(--accent); text-underline-offset: .2em; }}
nav, dl, .key, .clips, .set div {{ display: flex; flex-wrap: wrap; }}
nav {{ gap: .35rem 1.25rem; margin: 1rem 0 0; }}
dl {{ gap: .6rem 2rem; margin: 1rem 0; }}
dl div {{ max-width: 34rem; }}
dt, .set p {{ font-size: .8rem; }}
dd, figure {{ margin: 0; }}
.findings, .plots figure, .scroll {{ background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }}
.findings {{ margin: 1.25rem 0; padding: .9rem 1.25rem .9rem 2.2rem; max-width: 56rem; }}
.findings li + li {{ margin-top: .4rem; }}
.key {{ gap: .2rem 1.2rem; font-size: .9rem; }}
.key i {{ display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem; border-radius: 50%; }}
.plots {{
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1rem; margin: 1rem 0;
}}
.plots figure {{ padding: .75rem; }}
.plots svg {{ display: block; width: 100%; height: auto; max-width: 32rem; margin: auto; color: var(--text); }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: .82rem; line-height: 1.4; }}
table, dd {{ font-variant-numeric: tabular-nums; }}
th, td {{ padding: .5rem .55rem; text-align: left; vertical-align: top; white-space: nowrap; }}
thead th {{ font-weight: 500; white-space: normal; min-width: 4.5rem; vertical-align: bottom; }}
tbody tr {{ border-top: 1px solid var(--line); }}
tbody th, td b {{ font-weight: 600; }}
tbody th:first-child, thead th:first-child {{ position: sticky; left: 0; background: var(--card); z-index: 1; }}
.group th {{ padding-top: .9rem; color: var(--accent); font-size: .95rem; }}
td span, td small {{ display: block; color: var(--soft); font-size: .92em; }}
td i {{ display: block; font-style: normal; }}
td small.better {{ color: var(--better); }}
td small.worse {{ color: var(--worse); }}
td small.gap::before {{ content: "Δ "; }}
details {{ margin: 1rem 0; }}
summary {{ cursor: pointer; }}
.clips {{ gap: 1.1rem 1.6rem; margin: .9rem 0 2rem; }}
.set p {{ margin: 0 0 .3rem; line-height: 1.2; }}
.set div {{ gap: .6rem .5rem; }}
.clips figure {{ max-width: 100%; }}
.clips img {{ display: block; max-width: 100%; image-rendering: pixelated; border-radius: .35rem; background: var(--line); }}
.clips figcaption {{ margin-top: .25rem; font-size: .8rem; line-height: 1.3; }}
footer {{ margin-top: 3rem; font-size: .85rem; }}
@media (max-width: 46rem) {{
  body {{ padding: 1.5rem .9rem 3rem; }}
  .scroll, tbody tr.group {{ overflow: visible; border: 0; background: none; }}
  thead {{ display: none; }}
  table, tbody, tr, th, td {{ display: block; }}
  tbody th:first-child {{ position: static; background: none; }}
  tbody tr {{ margin: 0 0 .75rem; padding: .4rem 0; }}
  tbody tr {{ background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }}
  tbody tr.group {{ margin: 1.25rem 0 .25rem; padding: 0; }}
  th, td {{ padding: .3rem .8rem; white-space: normal; }}
  td {{ display: flex; flex-wrap: wrap; gap: 0 .45rem; }}
  td::before {{ content: attr(data-name); flex: 0 0 8.2rem; color: var(--soft); }}
  td small {{ flex: 1 0 100%; padding-left: 8.65rem; }}
  td small i {{ display: inline; }}
}}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
<nav>{contents}</nav>
</header>
<main>{parts}
</main>
<footer>Noise rectification {version}, after Li et al., arXiv 2403.02827.</footer>
</body>
</html>
"""
