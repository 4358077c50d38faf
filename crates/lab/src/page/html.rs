//! The page as HTML.
//!
//! Owns the document, its style and the escaping of everything that goes into it. Names come from configurations, logs and
//! data sets, so nothing is written unescaped. There is no script: the page can be shown under the strictest policy.

use super::{Block, Page, Table};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d7dde5;--paper:#fff;--tint:#f5f7fa;--warn:#8a4b00;--warnbg:#fff4e2}\
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b4;--line:#343c47;--paper:#14181d;--tint:#1b2027;--warn:#ffc46b;--warnbg:#33270f}}\
body{margin:2rem auto;max-width:60rem;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}\
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}\
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}tr:nth-child(even) td{background:var(--tint)}\
.warnings{background:var(--warnbg);color:var(--warn);padding:.7rem 1rem .7rem 2rem;border-radius:6px}\
figure{margin:1rem 0}figcaption{color:var(--soft);margin-bottom:.3rem}svg{width:100%;height:auto;font:12px system-ui,sans-serif}\
svg text{fill:var(--ink)}svg .name{text-anchor:end}svg .tick{text-anchor:middle;fill:var(--soft)}\
svg .grid{stroke:var(--line);stroke-width:1}svg .axis{stroke:var(--soft)}svg .interval{stroke:var(--ink);fill:none}\
svg .line{fill:none;stroke-width:2}\
.c0{fill:#3b6fd4}.c1{fill:#d9822b}.c2{fill:#2f9e6e}.c3{fill:#b04fb8}.c4{fill:#c94848}.c5{fill:#6b7787}\
.l0{stroke:#3b6fd4}.l1{stroke:#d9822b}.l2{stroke:#2f9e6e}.l3{stroke:#b04fb8}.l4{stroke:#c94848}.l5{stroke:#6b7787}";

/// The whole document.
pub(super) fn document(page: &Page) -> String {
    let title = escape(&page.title);
    let mut out = String::with_capacity(16 * 1024);
    out.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    out.push_str(&title);
    out.push_str("</title>\n<style>");
    out.push_str(STYLE);
    out.push_str("</style>\n</head>\n<body>\n<h1>");
    out.push_str(&title);
    out.push_str("</h1>\n");
    for block in &page.blocks {
        write_block(&mut out, block);
        out.push('\n');
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn write_block(out: &mut String, block: &Block) {
    match block {
        Block::Heading(text) => write_element(out, "h2", text),
        Block::Text(text) => write_element(out, "p", text),
        Block::Warnings(warnings) => {
            out.push_str("<ul class=\"warnings\">");
            warnings.iter().for_each(|warning| write_element(out, "li", warning));
            out.push_str("</ul>");
        }
        Block::Table(table) => write_table(out, table),
        Block::Bars(bars) => write_figure(out, &bars.title, |out| bars.write_svg(out)),
        Block::Lines(lines) => write_figure(out, &lines.title, |out| lines.write_svg(out)),
    }
}

fn write_figure(out: &mut String, title: &str, draw: impl FnOnce(&mut String)) {
    out.push_str("<figure>");
    write_element(out, "figcaption", title);
    draw(out);
    out.push_str("</figure>");
}

fn write_table(out: &mut String, table: &Table) {
    out.push_str("<div class=\"scroll\"><table><thead><tr>");
    table.head.iter().for_each(|head| write_element(out, "th", head));
    out.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        out.push_str("<tr>");
        row.iter().for_each(|cell| write_element(out, "td", cell));
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}

fn write_element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    out.push_str(&escape(text));
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// A text that means nothing but itself inside an element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are no text of HTML.
            control if control.is_control() && !control.is_whitespace() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
