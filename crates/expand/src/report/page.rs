//! The page itself: HTML with everything in it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use domex_data::picture::encode_png;
use html_escape::encode_double_quoted_attribute as escape;
use serde_json::Value as Json;

use super::chart::{COLOURS, Chart};
use super::gallery::{Gallery, shown};
use crate::Result;

const STYLE: &str = include_str!("style.css");

/// Grows from top to bottom.
pub struct Page {
    body: String,
    title: String,
    open: bool,
}

impl Page {
    pub fn new(title: &str) -> Self {
        Self {
            body: format!(
                "<header><p class=\"kicker\">domex expand</p><h1>{}</h1></header>\n",
                escape(title)
            ),
            title: title.to_owned(),
            open: false,
        }
    }

    /// A row of numbers, each with what it is.
    pub fn facts(&mut self, facts: &[(String, &str)]) {
        self.body += "<dl class=\"facts\">";
        for (value, what) in facts {
            let _ = write!(
                self.body,
                "<div><dd>{}</dd><dt>{}</dt></div>",
                escape(value),
                escape(what)
            );
        }
        self.body += "</dl>\n";
    }

    /// A heading, and what one sees under it.
    pub fn section(&mut self, heading: &str, about: &str) {
        self.close();
        let _ = writeln!(
            self.body,
            "<section><h2>{}</h2><p>{}</p>",
            escape(heading),
            escape(about)
        );
        self.open = true;
    }

    /// A remark.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p class=\"note\">{}</p>", escape(text));
    }

    /// Pictures with the labels of their rows and columns.
    pub fn gallery(&mut self, gallery: &Gallery) -> Result<()> {
        let _ = write!(
            self.body,
            "<div class=\"scroll\" tabindex=\"0\"><table class=\"gallery\" style=\"--columns:{}\"><tr><td></td>",
            gallery.columns.len()
        );
        for column in &gallery.columns {
            let _ = write!(self.body, "<th scope=\"col\">{}</th>", escape(column));
        }
        self.body += "</tr>\n";
        for (label, pictures) in &gallery.rows {
            let label = escape(label);
            let _ = write!(self.body, "<tr><th scope=\"row\">{label}</th>");
            for (picture, column) in pictures.iter().zip(&gallery.columns) {
                let picture = shown(picture);
                let (w, h) = picture.dimensions();
                let data = BASE64.encode(encode_png(&picture)?);
                let _ = write!(
                    self.body,
                    "<td><label><input type=\"checkbox\" aria-label=\"enlarge {label}, {0}\">\
                     <img alt=\"{label}, {0}\" width=\"{w}\" height=\"{h}\" src=\"data:image/png;base64,{data}\"></label></td>",
                    escape(column)
                );
            }
            self.body += "</tr>\n";
        }
        self.body += "</table></div>\n";
        Ok(())
    }

    /// A table; the first column names its row, the others hold numbers.
    pub fn table<S: AsRef<str>>(&mut self, heads: &[S], rows: &[Vec<String>]) {
        self.body += "<div class=\"scroll\" tabindex=\"0\"><table class=\"numbers\"><tr>";
        for head in heads {
            let _ = write!(
                self.body,
                "<th scope=\"col\">{}</th>",
                escape(head.as_ref())
            );
        }
        self.body += "</tr>\n";
        for row in rows {
            self.body += "<tr>";
            for (i, cell) in row.iter().enumerate() {
                let cell = escape(cell);
                let _ = match i {
                    0 => write!(self.body, "<th scope=\"row\">{cell}</th>"),
                    _ => write!(self.body, "<td>{cell}</td>"),
                };
            }
            self.body += "</tr>\n";
        }
        self.body += "</table></div>\n";
    }

    /// Commands, one a line.
    pub fn commands(&mut self, commands: &[String]) {
        let _ = writeln!(self.body, "<pre>{}</pre>", escape(&commands.join("\n")));
    }

    /// Charts that are seen once their heading is opened.
    pub fn folded(&mut self, heading: &str, charts: &[Chart]) {
        if charts.is_empty() {
            return;
        }
        let _ = write!(self.body, "<details><summary>{}</summary>", escape(heading));
        self.charts(charts);
        self.body += "</details>\n";
    }

    /// Charts side by side, as many as there is room for.
    pub fn charts(&mut self, charts: &[Chart]) {
        self.body += "<div class=\"charts\">";
        for chart in charts {
            let svg = chart.svg();
            if svg.is_empty() {
                continue;
            }
            let class = if chart.wide { " class=\"wide\"" } else { "" };
            let _ = write!(
                self.body,
                "<figure{class}><figcaption>{}</figcaption>{svg}",
                escape(&chart.title)
            );
            self.legend(chart);
            self.body += "</figure>\n";
        }
        self.body += "</div>\n";
    }

    fn legend(&mut self, chart: &Chart) {
        let lines = chart
            .lines
            .iter()
            .filter(|line| !line.name.is_empty())
            .enumerate();
        let mut entries: Vec<String> = lines
            .map(|(i, line)| format!("<li class=\"c{}\">{}</li>", i % COLOURS, escape(&line.name)))
            .collect();
        let marks = chart.marks.iter();
        entries.extend(
            marks.map(|(x, _, name)| format!("<li class=\"marked\">{x} {}</li>", escape(name))),
        );
        if !entries.is_empty() {
            let _ = write!(self.body, "<ul class=\"legend\">{}</ul>", entries.concat());
        }
    }

    /// A JSON value, folded away.
    pub fn json(&mut self, name: &str, value: &Json) {
        let json = format!("{value:#}");
        let text = escape(&json);
        let _ = writeln!(
            self.body,
            "<details><summary>{}</summary><pre>{text}</pre></details>",
            escape(name)
        );
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.body += "</section>\n";
        }
    }

    /// The whole file.
    pub fn finish(mut self) -> String {
        self.close();
        let policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\
             <title>{}</title><style>\n{STYLE}</style></head>\n<body><main>\n{}</main></body></html>\n",
            escape(&self.title),
            self.body
        )
    }
}

/// A short form of a number: three digits, without zeros at the end.
pub fn number(v: f64) -> String {
    if v == 0.0 {
        return "0".to_owned();
    }
    if !v.is_finite() {
        return "–".to_owned();
    }
    let text = match v.abs() {
        a if a >= 1e6 => format!("{}M", digits(v / 1e6)),
        a if a >= 1e4 => format!("{}k", digits(v / 1e3)),
        a if a >= 1e-3 => digits(v),
        _ => format!("{v:.0e}"),
    };
    text.replace('-', "−")
}

fn digits(v: f64) -> String {
    let places = (2 - v.abs().log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{v:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (v, text) in [
            (0.0, "0"),
            (20.0, "20"),
            (511.0, "511"),
            (0.123_456, "0.123"),
            (12_345.0, "12.3k"),
            (-1.5, "−1.5"),
            (2e-5, "2e−5"),
            (f64::NAN, "–"),
            (100.0, "100"),
            (1234.5, "1234"),
        ] {
            assert_eq!(number(v), text);
        }
    }

    #[test]
    fn names_cannot_become_tags() {
        let mut page = Page::new("<b>");
        page.section("a \"b\"", "<script>alert(1)</script>");
        page.note("&");
        let html = page.finish();
        assert!(!html.contains("<script") && !html.contains("<b>"));
        assert_eq!(
            html.matches("<section>").count(),
            html.matches("</section>").count()
        );
    }
}
