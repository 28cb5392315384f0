"""OUT/report.html: every case to be looked at, in one file that needs no network.

Made of the records and their pictures alone, so the same records give the same bytes.
"""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from organnet.batch.expected import DEVIATIONS, expected, ml
from organnet.batch.record import DONE, How, Record, picture_name
from organnet.files import atomic_path
from organnet.organs import ORGANS, spoken

REPORT = "report.html"
SHOWN_HASH = 12
"""Letters of a SHA-256 that are shown; manifest.csv has all of them."""

STYLE = """
:root { color-scheme: light; --ink: #1d2429; --soft: #5c6770; --line: #d9dee2; --warn: #9a4b00; }
body { font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink);
  background: #fff; max-width: 1080px; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
a { color: #14597f; }
p { margin: .4rem 0; }
.notice { border: 2px solid var(--warn); border-radius: 4px; padding: .6rem 1rem; margin: 1rem 0; }
.soft { color: var(--soft); font-size: .875rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .28rem 1rem .28rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--soft); }
.number { text-align: right; white-space: nowrap; }
.all { width: 100%; margin: 1rem 0 0; table-layout: fixed; }
.all th:nth-child(1) { width: 24%; }
.all th:nth-child(2), .all th:nth-child(3) { width: 6rem; }
.out { color: var(--warn); font-weight: 600; }
section { border-top: 1px solid var(--line); margin-top: 2.2rem; padding-top: 1.4rem; }
img { display: block; width: 100%; height: auto; margin: .8rem 0; }
.parts { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 1rem 3rem; }
.parts > * { flex: 0 1 auto; }
.parts > .warnings { flex: 1 1 20rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; }
ul { margin: .2rem 0; padding-left: 1.2rem; }
i { display: inline-block; width: .8em; height: .8em; border: 1px solid #555; margin-right: .5em; }
@media print {
  @page { margin: 14mm; }
  body { font-size: 10.5pt; margin: 0; padding: 0; max-width: none; }
  section { break-before: page; border: 0; margin: 0; padding: 0; }
  section.failed { break-before: auto; break-inside: avoid; margin-top: 1rem; }
  i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  a { color: inherit; text-decoration: none; }
}
"""


def write_report(out: Path, records: Sequence[Record]) -> None:
    """Write OUT/report.html of these records, whole or not at all.

    Raises OrganNetError where it cannot be written.
    """
    with (
        atomic_path(out / REPORT) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(_head(records))
        for number, record in enumerate(records, start=1):
            file.write(_case(out, record, number))
        file.write(_foot())


def _head(records: Sequence[Record]) -> str:
    failed = sum(record.status != DONE for record in records)
    warned = sum(bool(record.warnings) for record in records)
    rows = "".join(_row(record, number) for number, record in enumerate(records, start=1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>OrganNet2.5D: {len(records)} {"case" if len(records) == 1 else "cases"}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Organs at risk in head-and-neck CT</h1>
<p class="soft">Found by OrganNet2.5D, {escape(_versions(records))}</p>
<p class="notice"><strong>Research software, no medical device.</strong> These contours were made by
a program and seen by nobody. Do not plan or treat with them unless a qualified person has checked
and corrected every one.</p>
<p>{_count(len(records), "case")}: {len(records) - failed} segmented, {warned} of them with
warnings; {failed} failed.</p>
<table class="all">
<thead>
<tr><th>Case</th><th>Result</th><th>Warnings</th><th>First warning, or why it failed</th></tr>
</thead>
<tbody>
{rows}</tbody>
</table>
"""


def _row(record: Record, number: int) -> str:
    done = record.status == DONE
    result = "segmented" if done else '<span class="out">failed</span>'
    warnings = str(len(record.warnings) or "none") if done else ""
    first = record.message or next(iter(record.warnings), "")
    return (
        f'<tr><td><a href="#case-{number}">{escape(record.case)}</a></td><td>{result}</td>'
        f"<td>{warnings}</td><td>{escape(first)}</td></tr>\n"
    )


def _case(out: Path, record: Record, number: int) -> str:
    origin = escape(record.input) if record.input is not None else "input not named"
    hashed = escape(record.input_sha256[:SHOWN_HASH] or "unknown")
    head = f'<h2>{escape(record.case)}</h2>\n<p class="soft">{origin}, SHA-256 {hashed}</p>'
    if record.status != DONE:
        return f"""<section class="failed" id="case-{number}">
{head}
<p><span class="out">Failed:</span> {escape(record.message)}</p>
</section>
"""
    warnings = "".join(f"<li>{escape(warning)}</li>\n" for warning in record.warnings)
    return f"""<section id="case-{number}">
{head}
{_picture(out, record.case)}
<div class="parts">
<table>
<thead><tr><th>Organ</th><th class="number">Volume, ml</th><th class="number">Usual, ml</th></tr>
</thead>
<tbody>
{_volumes(record)}</tbody>
</table>
<div class="warnings">
<h3>{_count(len(record.warnings), "warning") if warnings else "No warnings"}</h3>
{f"<ul>{warnings}</ul>" if warnings else "<p>None of the checks below found anything.</p>"}
<p class="soft">Written: {escape(", ".join(record.outputs) or "nothing, since no organ was found")}
</p>
</div>
</div>
</section>
"""


def _picture(out: Path, case: str) -> str:
    try:
        picture = base64.b64encode((out / picture_name(case)).read_bytes()).decode()
    except OSError as error:
        reason = f"{picture_name(case)} cannot be read ({error.strerror})"
        return f'<p class="out">No picture: {escape(reason)}</p>'
    return f"""<img alt="Axial, coronal and sagittal slices of {escape(case)} with the organs found"
src="data:image/png;base64,{picture}">"""


def _volumes(record: Record) -> str:
    rows = ""
    for organ in ORGANS:
        least, largest = expected()[organ.name].volume_ml
        volume = record.volumes_ml.get(organ.name)
        shown = "not found" if volume is None else ml(volume)
        usual = volume is not None and least <= volume <= largest
        rows += (
            f'<tr><td><i style="background:{organ.colour}"></i>{spoken(organ.name)}</td>'
            f'<td class="number{"" if usual else " out"}">{shown}</td>'
            f'<td class="number">{ml(least)} to {ml(largest)}</td></tr>\n'
        )
    return rows


def _foot() -> str:
    counts = [usual.n for usual in expected().values()]
    return f"""<section class="failed">
<h3>What is checked</h3>
<p>Every organ: whether it was found, and whether it reaches the edge of the scan. Every organ that
does not: its volume and its place (from the middle between the parotids; a parotid's from the brain
stem). Every pair of such: how far the two volumes differ. All together: whether left and right
agree with the anatomy, which jaw, parotids and brain stem tell.</p>
<p>A picture has the three slices that together show the organs best, and below them further ones
for the organs that are on none of these. It is no more than a first look: scroll through the files
themselves.</p>
<p>Usual is what lies within {DEVIATIONS} standard deviations of the mean of {min(counts)} to
{max(counts)} drawings by hand per organ (PDDCA, and an oncologist's drawings of public scans). A
warning says where to look first. No warning is no proof that a contour is right.</p>
</section>
</body>
</html>
"""


def _versions(records: Iterable[Record]) -> str:
    """Software and weights: one text for each way in which these records were made."""
    ways = {
        f"version {how.organnet}, weights {_weights(how)}{', deep' if how.deep else ''}"
        for how in (record.how for record in records)
    }
    return "; ".join(sorted(ways))


def _weights(how: How) -> str:
    names = how.names or ("",) * len(how.weights)
    shown = zip(names, how.weights, strict=True)
    return ", ".join(f"{name} {hashed[:SHOWN_HASH]}".strip() for name, hashed in shown)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
