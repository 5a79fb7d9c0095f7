# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors

# Private to this collection: may change in any release, import it from nowhere else.
"""Looks and text of the report page. Colours follow the reader's light or dark; below 46rem rows become cards."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#5a6675;--line:#e2e6eb;--tint:#f0f3f6;
--red:#b42318;--red-bg:#fdecea;--amber:#945300;--amber-bg:#fff4e0;--blue:#1c5db8;--blue-bg:#e8f1fd;--green:#0f6b4a;
--green-bg:#e4f5ed;--off:#c3cad3}
@media(prefers-color-scheme:dark){:root{--page:#12161c;--card:#1a2029;--ink:#e7ebf0;--soft:#9aa7b6;--line:#2a333f;
--tint:#212935;--red:#ff9a90;--red-bg:#3b1d1c;--amber:#f6bd60;--amber-bg:#38290f;--blue:#8fbcff;--blue-bg:#172a45;
--green:#7fd8ae;--green-bg:#12332a;--off:#465362}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;overflow-wrap:anywhere;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif}
main{max-width:74rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;letter-spacing:-.02em;margin:.1rem 0 0}
h2{font-size:1.2rem;letter-spacing:-.01em;margin:2.75rem 0 .35rem}
p{margin:.35rem 0}
.over{color:var(--soft);font-size:.9rem;margin:0}
.lead{color:var(--soft);max-width:46rem;margin:0 0 1rem}
code{font:.86em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;overflow-wrap:anywhere}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px}
.verdict{display:flex;gap:.9rem;align-items:flex-start;margin:1.5rem 0 1rem;padding:1rem 1.15rem;border-left:5px solid}
.verdict.good{border-left-color:var(--green)}.verdict.bad{border-left-color:var(--red)}
.verdict strong{display:block;font-size:1.05rem}
.good strong{color:var(--green)}.bad strong{color:var(--red)}
.counts{display:flex;flex-wrap:wrap;gap:.5rem;list-style:none;margin:0;padding:0}
.counts li{padding:.2rem .7rem;border-radius:99px;font-size:.88rem;background:var(--tint);color:var(--soft)}
.counts .error{background:var(--red-bg);color:var(--red)}.counts .warning{background:var(--amber-bg);color:var(--amber)}
.counts .info{background:var(--blue-bg);color:var(--blue)}.counts .pass{background:var(--green-bg);color:var(--green)}
.key{display:flex;flex-wrap:wrap;gap:.35rem 1.1rem;color:var(--soft);font-size:.86rem;margin:0 0 .8rem;padding:0;
list-style:none;align-items:center}
.key li{display:flex;gap:.4rem;align-items:center}
table{border-collapse:collapse;width:100%}
.scroll{overflow-x:auto}
th{font-size:.82rem;font-weight:600;color:var(--soft);text-align:left;vertical-align:bottom;padding:.8rem .75rem .55rem}
td{padding:.7rem .75rem;border-top:1px solid var(--line);vertical-align:top}
th:first-child,td:first-child{padding-left:1.15rem}
td:last-child,th:last-child{padding-right:1.15rem}
td.where{min-width:13rem}
th:first-child,td.where{position:sticky;left:0;background:var(--card);z-index:1}
.scroll:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
.scroll{border-radius:12px}
.names{display:block;color:var(--soft);font-size:.86rem;margin-top:.15rem;overflow-wrap:anywhere}
.pattern{font-weight:600}
.acts{display:inline-flex;gap:3px;white-space:nowrap}
.acts i,.key i{display:inline-grid;place-items:center;width:1.5rem;height:1.5rem;border-radius:6px;font-style:normal;
font-weight:650;font-size:.74rem;border:1.5px solid transparent}
i.allow{background:var(--tint);color:var(--ink)}
i.allow.create{background:var(--blue-bg);color:var(--blue)}
i.allow.update{background:var(--amber-bg);color:var(--amber)}
i.allow.delete{background:var(--red-bg);color:var(--red)}
i.allow.read{background:var(--green-bg);color:var(--green)}
i.deny{color:var(--off);font-weight:400}
i.random,i.conditional{border:1.5px dashed var(--amber);color:var(--amber)}
i.gained{background:var(--green);color:var(--card)}
i.lost{color:var(--red);border-color:var(--red);text-decoration:line-through}
.changes{list-style:none;margin:0;padding:.3rem 0}
.changes li{display:grid;grid-template-columns:1.6rem 1fr;gap:.6rem;padding:.6rem 1.15rem}
.changes li+li{border-top:1px solid var(--line)}
.mark{font-weight:700;text-align:center;border-radius:6px;height:1.6rem;line-height:1.55rem}
.mark.plus{background:var(--green-bg);color:var(--green)}.mark.other{background:var(--amber-bg);color:var(--amber)}
.mark.minus{background:var(--red-bg);color:var(--red)}
.small{color:var(--soft);font-size:.88rem;overflow-wrap:anywhere}
.finding{padding:.95rem 1.15rem;margin:0 0 .7rem;border-left:4px solid var(--line)}
.finding.error{border-left-color:var(--red)}.finding.warning{border-left-color:var(--amber)}
.finding.info{border-left-color:var(--blue)}
.finding h3{font-size:1rem;margin:0 0 .25rem;font-weight:600}
.changes+.finding{margin-top:.9rem}
.say{display:inline-block}.say::first-letter{text-transform:uppercase}
.tag{display:inline-block;font-size:.76rem;font-weight:650;padding:.08rem .5rem;border-radius:5px;margin-right:.45rem;
vertical-align:.08em}
.tag.error,.tag.no{background:var(--red-bg);color:var(--red)}
.tag.warning{background:var(--amber-bg);color:var(--amber)}
.tag.info{background:var(--blue-bg);color:var(--blue)}.tag.yes{background:var(--green-bg);color:var(--green)}
.tag.maybe{background:var(--amber-bg);color:var(--amber)}
.fix{margin-top:.35rem}.fix b{font-weight:600}
details{padding:.75rem 1.15rem}
details+details{border-top:1px solid var(--line)}
summary{cursor:pointer;overflow-wrap:anywhere}
summary:focus-visible{outline:2px solid var(--blue);outline-offset:3px;border-radius:4px}
details ol{margin:.6rem 0 .2rem;padding-left:1.3rem;color:var(--soft);font-size:.92rem}
footer{margin-top:3rem;color:var(--soft);font-size:.85rem}
@media(max-width:46rem){
main{padding:1.6rem 1rem 3rem}h1{font-size:1.55rem}
.grid thead{display:none}
.grid,.grid tbody,.grid tr,.grid td{display:block;width:100%}
.grid tr{padding:.85rem 1.05rem}.grid tr+tr{border-top:1px solid var(--line)}
.grid td,.grid td:first-child,.grid td:last-child{border:0;padding:.2rem 0}
.grid td.where{padding-bottom:.45rem;position:static}
.grid td.cell{display:flex;justify-content:space-between;gap:.8rem;align-items:center}
.grid td.cell::before{content:attr(data-who);font-size:.92rem;overflow-wrap:anywhere}
.finding,.changes li,details{padding-left:1rem;padding-right:1rem}}
@media print{body{background:#fff}.card{break-inside:avoid}}
"""

#: A Jinja2 template over the values of report.render.
PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{{ report.title }}: who may do what</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<header>
<p class="over">Access policy of a zot registry{% if report.zot %} · zot {{ report.zot }}{% endif %}</p>
<h1>{{ report.title }}</h1>
<div class="card verdict {{ 'good' if report.passed else 'bad' }}"><p>
<strong>{{ 'Nothing stands in the way' if report.passed else 'Not to go live like this' }}</strong>
{{ report.verdict }}</p></div>
<ul class="counts">
{% for severity, count in counts %}
<li{% if count %} class="{{ severity }}"{% endif %}>
{{- count }} {{ severity }}{{ 's' if count != 1 and severity != 'info' }}</li>
{% endfor %}
{% if report.tests %}
<li class="{{ 'error' if failed else 'pass' }}">
{{- report.tests | length - failed }} of {{ report.tests | length }} tests hold</li>
{% endif %}
{% for gate in report.gates %}
<li class="{{ 'pass' if gate.held else 'error' }}">{{ gate.name }}: {{ 'holds' if gate.held else 'broken' }}</li>
{% endfor %}
</ul>
</header>
{% if report.changes is not none %}
<section aria-labelledby="changes">
<h2 id="changes">What would change</h2>
{% if changes %}
<p class="lead">Compared with the policy that is live now, over every repository name there can be. Each line has a name
that shows it.</p>
<ul class="card changes">
{% for change in changes %}
<li><span class="mark {{ {'+': 'plus', '-': 'minus'}.get(change.sign, 'other') }}" aria-hidden="true">
{{- '−' if change.sign == '-' else change.sign }}</span><span>{{ change.sentence }}</span></li>
{% endfor %}
</ul>
{% if more_changes %}<p class="lead">And {{ more_changes }} more.</p>{% endif %}
{% else %}
<p class="lead">Nothing: everybody may do exactly what they may do now, on every repository name there can be.</p>
{% endif %}
{% for gate in report.gates if not gate.held %}
<article class="card finding error"><h3><span class="tag error">gate</span>{{ gate.name }} is broken</h3>
{% for line in gate.broken_by %}<p>{{ line }}</p>{% endfor %}
</article>
{% endfor %}
</section>
{% endif %}
<section aria-labelledby="access">
<h2 id="access">Who may do what</h2>
<p class="lead">In each row one pattern decides: the longest one that matches the name. What shorter patterns say does
not count there.</p>
<ul class="key" aria-label="Key">
<li><i class="allow read">R</i>read</li><li><i class="allow create">C</i>create</li>
<li><i class="allow update">U</i>update</li><li><i class="allow delete">D</i>delete</li>
<li><i class="deny">·</i>denied</li>
{% if report.before %}<li><i class="gained">R</i>new</li><li><i class="lost">R</i>taken away</li>{% endif %}
<li><i class="conditional">R</i>at random, or under a condition</li>
</ul>
{% if lines %}
<div class="card scroll" tabindex="0" role="region" aria-label="Who may do what">
<table class="grid">
<thead><tr><th scope="col">Where</th>
{% for subject in report.table.subjects %}<th scope="col">{{ subject.label }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for line in lines %}
<tr{% if line.changed %} class="changed"{% endif %}>
<td class="where">
{% for pattern in line.patterns %}<code class="pattern">{{ pattern }}</code>{{ ' or ' if not loop.last }}{% else %}
<span class="pattern">no pattern</span>{% endfor %}
<span class="names">{{ line.names | join(', ') }}{% if line.more %} and {{ line.more }} more{% endif %}</span></td>
{% for cell in line.cells %}
<td class="cell" data-who="{{ cell.subject }}">
<span class="acts" role="img" aria-label="{{ cell.words }}" title="{{ cell.words }}">
{%- for action, state in cell.actions -%}
<i class="{{ state }} {{ action }}" aria-hidden="true">{{ '·' if state == 'deny' else action[0] | upper }}</i>
{%- endfor -%}
</span></td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% if more_lines %}<p class="lead">And {{ more_lines }} more rows.</p>{% endif %}
{% else %}
<p class="lead">There is nothing to show: no pattern and no repository is known.</p>
{% endif %}
</section>
<section aria-labelledby="findings">
<h2 id="findings">Findings</h2>
{% for finding in findings %}
<article class="card finding {{ finding.severity }}">
<h3><span class="tag {{ finding.severity }}">{{ finding.code }} {{ finding.severity }}</span>
<span class="say">{{ titles[finding.code] }}</span></h3>
<p class="small"><code>{{ finding.place }}</code></p>
<p>{{ finding.reason }}</p>
<p class="fix"><b>Fix:</b> {{ finding.fix }}</p>
</article>
{% else %}
<p class="lead">None. Nothing in the configuration looks wrong.</p>
{% endfor %}
{% if more_findings %}<p class="lead">And {{ more_findings }} more.</p>{% endif %}
</section>
{% if report.tests %}
<section aria-labelledby="tests">
<h2 id="tests">Tests beside the policy</h2>
<div class="card">
{% for result in report.tests %}
<details{% if not result.passed %} open{% endif %}><summary>
<span class="tag {{ 'yes' if result.passed else 'no' }}">{{ 'holds' if result.passed else 'fails' }}</span>
{{- result.answer.sentence }}{% if not result.passed %} <b>Expected: {{ result.test.expect }}.</b>{% endif %}</summary>
<ol>{% for line in result.answer.why %}<li>{{ line }}</li>{% endfor %}</ol></details>
{% endfor %}
</div>
</section>
{% endif %}
{% if report.answers %}
<section aria-labelledby="questions">
<h2 id="questions">Questions</h2>
<div class="card">
{% for answer in report.answers %}
<details><summary>
<span class="tag {{ {'allow': 'yes', 'deny': 'no'}.get(answer.outcome, 'maybe') }}">{{ answer.outcome }}</span>
{{- answer.sentence }}</summary>
<ol>{% for line in answer.why %}<li>{{ line }}</li>{% endfor %}</ol></details>
{% endfor %}
</div>
</section>
{% endif %}
<footer>Written by blumeops.registry.zot_policy_check from the configuration alone; the registry was not asked.</footer>
</main>
</body>
</html>
"""
