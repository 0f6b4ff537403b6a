// How the page looks: colours for light and dark, and rules for paper.

enum HTMLStyle {
    static let sheet: StaticString = """
        :root{color-scheme:light dark;--ink:#1a1d21;--soft:#5b6470;--line:#d9dee5;--ground:#fff;--panel:#f5f7fa;\
        --met:#1a7f46;--partial:#9a6700;--not-met:#c0272d;--no-evidence:#6f42c1;--not-applicable:#6b7480;\
        --accent:#1f5fbf}\
        @media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#a0a9b6;--line:#343b46;--ground:#14171c;\
        --panel:#1c2027;--met:#4cc27e;--partial:#e0ac3c;--not-met:#ff6b6b;--no-evidence:#b795f5;\
        --not-applicable:#97a1ae;\
        --accent:#7fb0ff}}\
        *{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);\
        font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}\
        main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}h1{font-size:30px;line-height:1.2;margin:0}\
        h2{font-size:21px;margin:44px 0 12px;padding-top:12px;border-top:2px solid var(--line)}\
        h3{font-size:16px;margin:0 0 6px}p{margin:6px 0;overflow-wrap:anywhere}.kind{color:var(--soft);margin:0}\
        .period{font-size:17px;color:var(--soft)}dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;\
        margin:16px 0;font-size:13px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere;\
        font-family:ui-monospace,"DejaVu Sans Mono",monospace}.tiles{display:flex;flex-wrap:wrap;gap:12px;\
        margin:20px 0 14px}\
        .tile{border:1px solid var(--line);border-left:5px solid var(--c);border-radius:6px;padding:8px 18px 8px 14px;\
        background:var(--panel);min-width:118px}.tile b{display:block;font-size:26px;line-height:1.1}\
        .tile span{color:var(--soft);font-size:13px}.met{--c:var(--met)}.partial,.warning{--c:var(--partial)}\
        .not-met,.error{--c:var(--not-met)}.no-evidence{--c:var(--no-evidence)}.not-applicable,.info{\
        --c:var(--not-applicable)}\
        .badge{display:inline-block;border:1px solid var(--c);color:var(--c);border-radius:10px;padding:0 9px;\
        font-size:12px;\
        font-weight:600;line-height:19px;white-space:nowrap}.control{border:1px solid var(--line);\
        border-left:5px solid var(--c);border-radius:6px;padding:12px 16px;margin:10px 0;background:var(--panel)}\
        .control .id{color:var(--soft);font-weight:600;margin-right:4px}ul{margin:8px 0;padding-left:20px}\
        .needs{list-style:none;padding:0}.needs li{margin:3px 0}.note,.source{color:var(--soft);font-size:13px}\
        .unchecked{color:var(--no-evidence);font-weight:600}.warn{border-left:4px solid var(--not-met);\
        padding:4px 12px;\
        background:var(--panel);margin:10px 0}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;\
        font-size:13px;\
        margin:10px 0}th{text-align:left;color:var(--soft);font-weight:600;border-bottom:2px solid var(--line);\
        padding:5px 8px;vertical-align:bottom}td{border-bottom:1px solid var(--line);padding:5px 8px;\
        vertical-align:top;\
        overflow-wrap:anywhere;min-width:48px}.n{text-align:right;font-variant-numeric:tabular-nums}figure{\
        margin:8px 0}\
        figcaption{font-size:13px;color:var(--soft)}svg{display:block;max-width:100%}svg text{fill:var(--soft);\
        font-size:11px;\
        font-family:inherit}.charts{display:flex;flex-wrap:wrap;gap:24px}.charts figure{flex:1 1 420px}\
        .b{fill:var(--c)}.t{fill:var(--line)}.l{fill:none;stroke:var(--accent);stroke-width:2}.d{fill:var(--accent)}\
        .x{stroke:var(--line);stroke-width:1}article+article{margin-top:14px}\
        @media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--ground:#fff;--panel:#fff;\
        --met:#11602f;\
        --partial:#7a5200;--not-met:#a01a20;--no-evidence:#52309a;--not-applicable:#555;--accent:#1f4f9f}\
        main{max-width:none;padding:0}body{font-size:10.5pt}h2{break-after:avoid}article,figure,tr,.tiles{\
        break-inside:avoid}\
        .scroll{overflow:visible}table{font-size:7.5pt;table-layout:auto}th,td{padding:2px 4px;min-width:0}thead{\
        display:table-header-group}\
        *{-webkit-print-color-adjust:exact;print-color-adjust:exact}@page{size:A4;margin:14mm 12mm}}
        """
}
