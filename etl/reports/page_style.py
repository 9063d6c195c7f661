"""How pages look: one style sheet for light, dark, phones and paper."""

# Every text colour has a contrast of at least 4.5 to what it stands on. Colour never says
# something alone: states have a sign and a word, bars have figures beside them.
STYLE = """\
:root{color-scheme:light dark;--page:#f4f6f8;--card:#fff;--ink:#1a2129;--soft:#55606c;
--line:#d7dde4;--grid:#e6eaef;--hover:rgba(11,98,196,.13);--link:#0b5cb8;
--good:#187636;--warn:#8f5600;--bad:#c02430;--idle:#55606c;
--good-back:#e4f4e8;--warn-back:#fdf1d8;--bad-back:#fdeaea;--idle-back:#eceff2;
--inserted:#1769d2;--updated:#8250df;--unchanged:#a3adb8;--rejected:#d1343f;--duplicate:#b87a00;
--plain:#5b8fd0}
@media screen and (prefers-color-scheme:dark){:root{--page:#0e1318;--card:#171d24;--ink:#e4e9ee;
--soft:#9aa7b4;--line:#2c3640;--grid:#232c35;--hover:rgba(120,180,255,.16);--link:#6cb0ff;
--good:#56c271;--warn:#e0a83a;--bad:#ff8078;--idle:#9aa7b4;
--good-back:#13291b;--warn-back:#2d2410;--bad-back:#331a1c;--idle-back:#222a32;
--inserted:#4c9aff;--updated:#b58cff;--unchanged:#66727e;--rejected:#f2675f;--duplicate:#d9a02f;
--plain:#4f83c4}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere;print-color-adjust:exact;
-webkit-print-color-adjust:exact}
main{max-width:1120px;margin:0 auto;padding:24px 24px 48px}
h1{font-size:17px;margin:0;font-weight:600}
h2{font-size:18px;margin:0 0 12px;line-height:1.3}
h3{font-size:14px;margin:0 0 6px;line-height:1.35;font-weight:600}
p{margin:0 0 8px}
a{color:var(--link)}
.lead,.soft{color:var(--soft)}
.lead{margin:-8px 0 12px;max-width:72ch}
.top{display:flex;flex-wrap:wrap;gap:4px 20px;align-items:baseline;margin-bottom:14px}
nav{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:14px;margin-left:auto}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:18px 20px 20px;margin:0 0 16px}
.state{border-left-width:6px}
.state h2{font-size:24px;display:flex;align-items:center;gap:10px;margin-bottom:4px}
.state.good{border-left-color:var(--good)}.state.warn{border-left-color:var(--warn)}
.state.bad{border-left-color:var(--bad)}.state.idle{border-left-color:var(--idle)}
.sign{width:1em;height:1em;flex:none;vertical-align:-.125em}
.sign .off{fill:none;stroke:var(--card);stroke-width:2.2;
stroke-linecap:round;stroke-linejoin:round}
.sign.good .in{fill:var(--good)}.sign.warn .in{fill:var(--warn)}
.sign.bad .in{fill:var(--bad)}.sign.idle .in{fill:var(--idle)}
.mark{white-space:nowrap;font-weight:600}
.mark.good{color:var(--good)}.mark.warn{color:var(--warn)}
.mark.bad{color:var(--bad)}.mark.idle{color:var(--idle)}
.notes{list-style:none;margin:12px 0 0;padding:0}
.notes li{border-radius:6px;padding:8px 12px;margin:0 0 6px;white-space:pre-line}
.notes .good{background:var(--good-back)}.notes .warn{background:var(--warn-back)}
.notes .bad{background:var(--bad-back)}.notes .idle{background:var(--idle-back)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px 20px;
margin:16px 0 0;padding:14px 0 0;border-top:1px solid var(--line)}
.facts div{min-width:0}
.facts dt{color:var(--soft);font-size:13px}
.facts dd{margin:0}
.facts dd.big{font-size:22px;font-weight:600;line-height:1.25}
.facts dd.soft{font-size:13px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:22px 32px}
.pair>*{min-width:0}
.trio{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));
gap:22px 28px}
.trio>*{min-width:0}
.trio .mid{display:none}
.apart{margin-top:22px}
figure{margin:0}
figcaption{display:flex;flex-wrap:wrap;gap:0 10px;align-items:baseline;margin-bottom:10px}
figcaption h3{margin:0}
.trio figcaption h3{flex:0 0 100%}
figcaption span{color:var(--soft);font-size:13px}
.plot{display:grid;grid-template-columns:74px minmax(0,1fr)}
.plot svg{display:block;width:100%;overflow:visible}
.ys{position:relative;font-size:12px;line-height:16px;color:var(--soft);text-align:right}
.ys span{position:absolute;right:8px;transform:translateY(-50%);white-space:nowrap}
.xs{grid-column:2;position:relative;height:18px;font-size:12px;line-height:18px;color:var(--soft)}
.xs span{position:absolute;white-space:nowrap;transform:translateX(-50%)}
.xs .first{transform:none}.xs .last{transform:translateX(-100%)}
.grid{stroke:var(--grid);stroke-width:1;vector-effect:non-scaling-stroke;fill:none}
.base{stroke:var(--line)}
.lane{stroke-linecap:round;stroke-width:9;vector-effect:non-scaling-stroke;fill:none}
.lane.stroke{stroke-width:2.5;stroke-linecap:butt}
.lane.good{stroke:var(--good)}.lane.warn{stroke:var(--warn)}
.lane.bad{stroke:var(--bad)}.lane.idle{stroke:var(--idle)}
.took{vector-effect:non-scaling-stroke;stroke-width:.5}
.took.good{fill:var(--plain);stroke:var(--plain)}
.took.warn{fill:var(--warn);stroke:var(--warn)}
.took.bad{fill:var(--bad);stroke:var(--bad)}
.took.idle{fill:var(--unchanged);stroke:var(--unchanged)}
.hit{fill:transparent}.hit:hover{fill:var(--hover)}
.curve{fill:none;stroke:var(--inserted);stroke-width:1.75;stroke-linejoin:round;
stroke-linecap:round;vector-effect:non-scaling-stroke}
.curve.fine{stroke-width:1.1}
.dot{fill:none;stroke:var(--inserted);stroke-width:7;stroke-linecap:round;
vector-effect:non-scaling-stroke}
.usual{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 4;vector-effect:non-scaling-stroke}
.scroll{overflow-x:auto;position:relative}
.scroll:focus-visible,a:focus-visible,summary:focus-visible{outline:2px solid var(--link);
outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:14px;line-height:1.4}
th,td{padding:6px 12px 6px 0;text-align:right;vertical-align:top;
border-bottom:1px solid var(--grid);white-space:nowrap}
tr>:last-child{padding-right:0}
th[scope=row],th:first-child,.t{text-align:left}
th[scope=row]{font-weight:400;min-width:8.5em}
thead th{white-space:normal;overflow-wrap:break-word}
#runs th,#runs td{white-space:nowrap}
.fate{white-space:nowrap}
thead th{color:var(--soft);font-weight:600;font-size:13px;border-bottom-color:var(--line)}
tbody tr:last-child>*{border-bottom:0}
td.t,th[scope=row]{white-space:normal}
td.t{max-width:34em}
.words{min-width:15em;white-space:normal}
.zero{color:var(--soft)}
.bar{display:block;width:100%;height:10px;min-width:60px;margin-top:5px}
.bar .back{fill:var(--grid)}
.f-inserted{fill:var(--inserted)}.f-updated{fill:var(--updated)}.f-unchanged{fill:var(--unchanged)}
.f-rejected{fill:var(--rejected)}.f-duplicate{fill:var(--duplicate)}.f-plain{fill:var(--plain)}
.key{display:inline-block;width:.75em;height:.75em;margin-right:.4em;vertical-align:-.04em}
details{margin-top:8px}
summary{cursor:pointer;color:var(--link);padding:4px 0}
.path{font-size:15px;margin:22px 0 8px}
h2+.path{margin-top:10px}
.path small{font-weight:400;font-size:13px}
.route{display:grid;grid-template-columns:minmax(0,1fr) minmax(120px,1.1fr) minmax(0,1fr);
align-items:center}
.route>*{min-width:0}
.file{border:1px solid var(--line);border-radius:8px;padding:9px 12px;font-size:13px}
.file+.file{margin-top:8px}
.file p{margin:0}
.across,.down{position:relative}
.flow{position:absolute;inset:0;width:100%;height:100%}
.flow path{opacity:.72}
.across{align-self:stretch;margin:0 12px}
.down{display:none}
.ends{list-style:none;margin:0;padding:0;font-size:14px}
.ends li{display:flex;gap:8px;align-items:center;min-height:34px;line-height:1.25}
.ends b{font-size:16px}
footer{color:var(--soft);font-size:13px;padding:4px 2px}
@media (max-width:640px){
main{padding:12px 10px 32px}
section{padding:14px 14px 16px;border-radius:8px}
.top{margin:2px 4px 12px}
nav{margin-left:0;gap:4px 16px}
nav a{padding:4px 0}
.state h2{font-size:21px}
.facts{grid-template-columns:1fr 1fr}
.plot{grid-template-columns:64px minmax(0,1fr)}
.route{grid-template-columns:minmax(0,1fr)}
.across{display:none}.down{display:block;height:48px;margin:6px 0}
.ends{display:flex;font-size:12px;overflow-wrap:normal}
.ends li{flex:1 1 0;min-width:0;justify-content:center;text-align:center;min-height:0}
.ends b{font-size:15px}
.ends b{display:block}
.ends .key{display:none}
table{font-size:13px}
th,td{padding-right:8px}
thead th{font-size:12px}
th[scope=row]{min-width:7.4em}
td.t{min-width:5.5em}
.bar{min-width:36px}
summary{padding:8px 0}
}
@media print{
@page{margin:12mm}
:root{--page:#fff}
body{font-size:10px}
main{max-width:none;padding:0}
nav,details{display:none}
section{border-color:#ccc;padding:10px 12px;margin-bottom:8px}
.pair{grid-template-columns:1fr 1fr}.trio{grid-template-columns:1fr 1fr 1fr}
.facts{grid-template-columns:repeat(6,1fr)}
.facts dd.big{font-size:16px}
table{font-size:9px}
th,td{padding:2px 6px 2px 0}
thead th{font-size:9px}
th[scope=row]{min-width:6em}
.words{min-width:14em}
.scroll{overflow:visible}
h2,h3{break-after:avoid}
tr,figure,.route,.facts{break-inside:avoid}
}
"""
