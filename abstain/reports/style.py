"""Style of the page: wide and narrow screens, and paper."""

STYLE = """
:root{--ink:#1c2733;--soft:#5b6875;--line:#d9dfe5;--blue:#1f5f99;--warn:#a33d00}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;margin:.5rem 0 1rem}h2{font-size:1.15rem;margin:1.6rem 0 .4rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.6rem}
.cards div{border:1px solid var(--line);border-radius:.4rem;padding:.6rem .8rem}
.cards b{display:block;font-size:1.25rem;color:var(--blue)}
.cards span,.note,figcaption{color:var(--soft);font-size:.85rem}
small{font-size:.75em;font-weight:400;color:var(--soft);white-space:nowrap}
.warn{color:var(--warn);font-weight:600}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:1rem;margin-top:1.2rem}
figure{margin:0}img{width:100%;height:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:600}
@media print{body{max-width:none;font-size:11pt}section{break-inside:avoid}}
"""
