//! A page is whole, loads nothing and shows what it was given, whatever that is.

use super::*;
use proptest::prelude::*;

fn sample(name: &str, values: &[f64]) -> Page {
    let mut page = Page::new(name);
    page.heading(name);
    page.text(name);
    page.warnings(vec![name.to_owned()]);
    let mut table = Table::new(["name", "figure"]);
    table.push([name, "1"]);
    page.push(Block::Table(table));
    let bar = |value: &f64| Bar {
        name: name.to_owned(),
        value: *value,
        interval: Some((value - 1.0, value + 1.0)),
        label: name.to_owned(),
        group: 7,
    };
    page.push(Block::Bars(Bars { title: name.to_owned(), bars: values.iter().map(bar).collect() }));
    let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
    for logarithmic in [false, true] {
        let scale = Scale { name: name.to_owned(), logarithmic, from_zero: true };
        let line = Line { name: name.to_owned(), points: points.clone() };
        let lines = vec![line];
        page.push(Block::Lines(Lines { title: name.to_owned(), across: scale.clone(), up: scale, lines }));
    }
    page
}

/// Every element that is opened is closed, in order, and no attribute is broken.
fn well_formed(html: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let body = html.split_once("</head>").ok_or("no head")?.1;
    for piece in body.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').ok_or_else(|| format!("not closed: {piece}"))?;
        if text.contains('>') || tag.matches('"').count() % 2 == 1 {
            return Err(format!("not escaped: {piece}"));
        }
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if tag.starts_with('/') {
            if name != "html" && open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing"));
            }
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} stay open")) }
}

#[test]
fn a_page_loads_nothing() {
    let html = sample("A <b>\"page\"</b> & more", &[1.0, -3.0, 0.0]).to_html();
    for word in ["http:", "https:", "src=", "href=", "url(", "<script", "@import", "<b>"] {
        assert!(!html.contains(word), "{word}");
    }
    assert!(html.contains("A &lt;b&gt;&quot;page&quot;&lt;/b&gt; &amp; more"));
    assert_eq!(html.matches("<svg ").count(), 3);
}

proptest! {
    #[test]
    fn a_page_is_whole_whatever_it_shows(
        name in ".{0,60}",
        values in prop::collection::vec(
            prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), -10.0f64..10.0], 0..8),
    ) {
        let html = sample(&name, &values).to_html();
        if let Err(problem) = well_formed(&html) {
            prop_assert!(false, "{problem}");
        }
        for piece in html.split("d=\"").skip(1) {
            let path = piece.split('"').next().unwrap_or_default();
            prop_assert!(!path.contains("NaN") && !path.contains("inf"), "{path}");
        }
    }
}
